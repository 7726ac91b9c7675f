-- What the copy of an append-only table holds: the snapshot that it was read in. Changes whose transaction was visible to it are in the
-- copy, and are left out of the stream: all below `stamp`, none from `version` on, and between the two those that the snapshot saw.
CREATE TABLE millrace.snapshots (
    source      text NOT NULL,
    name        text NOT NULL,
    stamp       numeric(39) NOT NULL,
    version     numeric(39) NOT NULL,
    seen_below  bigint NOT NULL,          -- transactions below it were seen
    unseen_from bigint NOT NULL,          -- from it on they were not
    running     bigint[] NOT NULL,        -- those between the two that were still open
    set_at      timestamptz NOT NULL DEFAULT now(),
    settled_at  timestamptz,              -- null: such a change may still come to life, written by a sink that had not heard of it
    PRIMARY KEY (source, name),
    FOREIGN KEY (source, name) REFERENCES millrace.tables ON DELETE CASCADE
);
