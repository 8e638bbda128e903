-- Sales that were approved offline, and what has become of the advice by which the host is told: empty, stored, sent,
-- acknowledged, refused or withdrawn.
ALTER TABLE transactions ADD COLUMN advice TEXT NOT NULL DEFAULT '';
CREATE INDEX transactions_advised ON transactions (advice, id) WHERE advice <> '';

-- Their cards, until the advice has its end: track 2 under a key that never leaves the secure module.
CREATE TABLE stored_cards (
    transaction_id INTEGER PRIMARY KEY REFERENCES transactions (id),
    track2 BLOB NOT NULL
) STRICT;
