-- What happened is appended to `events` and never changed; `transactions` is derived from it, for looking things up.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    transaction_id INTEGER NOT NULL REFERENCES transactions (id),
    at INTEGER NOT NULL, -- milliseconds since 1970
    body TEXT NOT NULL   -- JSON, see transaction.rs
) STRICT;

CREATE TABLE transactions (
    id INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    created INTEGER NOT NULL,
    state TEXT NOT NULL,
    outcome TEXT NOT NULL,  -- empty until final
    reversal TEXT NOT NULL, -- empty, pending or acknowledged
    receipt TEXT NOT NULL,  -- owed while it is to be handed to the printer
    body TEXT NOT NULL,     -- JSON: the transaction as its events made it
    UNIQUE (owner, key)
) STRICT;

CREATE INDEX transactions_open ON transactions (id) WHERE state <> 'final' OR reversal = 'pending' OR receipt = 'owed';
CREATE INDEX transactions_by_key ON transactions (key);
CREATE INDEX transactions_by_owner ON transactions (owner, id);

-- Numbers that are given once.
CREATE TABLE counters (
    batch INTEGER NOT NULL,
    stan INTEGER NOT NULL -- the system trace audit number given last
) STRICT;
INSERT INTO counters VALUES (1, 0);
