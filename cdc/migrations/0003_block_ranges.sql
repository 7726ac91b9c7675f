-- A backfill copies ranges of a table's blocks: they need no sort to cut and no index to read, whatever the key is.
DELETE FROM millrace.backfills WHERE finished_at IS NULL;  -- their ranges of keys are not read any more
DROP TABLE millrace.chunks;
CREATE TABLE millrace.chunks (
    backfill bigint NOT NULL REFERENCES millrace.backfills ON DELETE CASCADE,
    number   integer NOT NULL,
    relation bigint NOT NULL,              -- oid of the table, or of one of its partitions
    filenode bigint NOT NULL,              -- of the relation when it was cut: a rewrite moves its rows
    first    bigint,                       -- block, inclusive; null: the whole relation
    beyond   bigint,                       -- block, exclusive
    rows     bigint,                       -- null: not copied yet
    PRIMARY KEY (backfill, number)
);
