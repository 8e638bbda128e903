-- Mail and telephone orders, which have limits of their own.
ALTER TABLE transactions ADD COLUMN moto INTEGER NOT NULL DEFAULT 0;
