-- What the host says of this terminal: one row, or none where it said nothing yet.
CREATE TABLE terminal_parameters (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    body TEXT NOT NULL -- JSON, see terminal_parameters.rs
) STRICT;
