-- Each event is bound to all before it (crates/audit); those that are there already are bound by journal/chain.rs.
ALTER TABLE events ADD COLUMN link BLOB NOT NULL DEFAULT x'';

CREATE TABLE chain (
    identity BLOB NOT NULL, -- of this journal: 16 random octets
    last INTEGER NOT NULL,  -- the id of the event that was appended last
    head BLOB NOT NULL      -- its link
) STRICT;
INSERT INTO chain VALUES (randomblob(16), 0, x'');
