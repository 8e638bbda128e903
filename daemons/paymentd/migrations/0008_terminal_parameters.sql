-- What the host says of this terminal: one row, or none where it said nothing yet.
CREATE TABLE terminal_parameters (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    source TEXT NOT NULL, -- which host, of which terminal
    body TEXT NOT NULL    -- JSON, see terminal_parameters.rs
) STRICT;
