-- One round trip instead of four in the path of every change. The shared lock lets the reader of the limit wait for numbers that are
-- taken but not committed yet.
CREATE FUNCTION millrace.open_batch(by_writer text) RETURNS bigint LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock_shared(hashtext('millrace.batches'));
    INSERT INTO millrace.batches (writer) VALUES (by_writer) RETURNING batch;
$$;

-- Why a table is not followed for the time being; null: it is.
ALTER TABLE millrace.tables ADD COLUMN parked text;

-- TRUNCATE: everything of the table below this version is dead, for good. Unsettled while an older change may still arrive.
CREATE TABLE millrace.floors (
    source     text NOT NULL,
    name       text NOT NULL,
    version    numeric(39) NOT NULL,
    set_at     timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    PRIMARY KEY (source, name),
    FOREIGN KEY (source, name) REFERENCES millrace.tables ON DELETE CASCADE
);

-- Changes that a target refused. Open until a higher version of the key was written, a replay went through, or a person dropped it.
CREATE TABLE millrace.dead_letters (
    id          bigserial PRIMARY KEY,
    target      text NOT NULL,              -- clickhouse or elasticsearch
    source      text NOT NULL,
    name        text NOT NULL,              -- schema.table, or the index
    key         text NOT NULL,              -- the message's key (JSON), or the document's id
    version     numeric(39) NOT NULL,
    moved       boolean NOT NULL DEFAULT false,
    body        text NOT NULL,              -- the message as it came, or the document
    reason      text NOT NULL,
    place       text NOT NULL,              -- topic/partition@offset, for a person who searches
    parked_at   timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    outcome     text CHECK (outcome IN ('superseded', 'replayed', 'dropped')),
    CHECK ((resolved_at IS NULL) = (outcome IS NULL))
);
CREATE UNIQUE INDEX dead_letters_once_idx ON millrace.dead_letters (target, source, name, md5(key), version);
CREATE INDEX dead_letters_open_idx ON millrace.dead_letters (target, source, name) WHERE resolved_at IS NULL;
