-- The secure module's signatures over where the chain was (crates/audit, seal.rs).
CREATE TABLE seals (
    last INTEGER PRIMARY KEY, -- the id of the last event that it covers
    head BLOB NOT NULL,       -- that event's link
    at INTEGER NOT NULL,      -- milliseconds since 1970
    key BLOB NOT NULL,        -- the module's public key
    signature BLOB NOT NULL,
    batch INTEGER NOT NULL    -- the batch that was open
) STRICT;

-- A transaction can be dropped when none of its events is left.
CREATE INDEX events_by_transaction ON events (transaction_id);
