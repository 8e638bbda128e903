-- What a transaction does, what it builds on, and what it counts for.
ALTER TABLE transactions ADD COLUMN service TEXT NOT NULL DEFAULT 'sale';
ALTER TABLE transactions ADD COLUMN original INTEGER REFERENCES transactions (id);
ALTER TABLE transactions ADD COLUMN amount INTEGER NOT NULL DEFAULT 0; -- minor units
ALTER TABLE transactions ADD COLUMN batch INTEGER NOT NULL DEFAULT 0;  -- 0 until the host is asked
ALTER TABLE transactions ADD COLUMN token TEXT NOT NULL DEFAULT '';    -- of the card
UPDATE transactions SET amount = body ->> '$.request.amount', batch = coalesce(body ->> '$.batch', 0);

CREATE INDEX transactions_by_original ON transactions (original) WHERE original IS NOT NULL;
CREATE INDEX transactions_by_batch ON transactions (batch, id);
CREATE INDEX transactions_by_service ON transactions (service, id);
CREATE INDEX transactions_by_day ON transactions (service, created);
CREATE INDEX transactions_by_token ON transactions (token, created);
CREATE INDEX transactions_by_outcome ON transactions (outcome, id);
