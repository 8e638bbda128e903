-- Issuer scripts that a card has run: whether the host has still to be told of their results. Empty, pending, acknowledged or refused.
ALTER TABLE transactions ADD COLUMN script TEXT NOT NULL DEFAULT '';
CREATE INDEX transactions_scripted ON transactions (id) WHERE script = 'pending';
