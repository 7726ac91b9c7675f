-- Keys that were erased: every change of them below the version is dead, also when Kafka sends it again. Remembered for longer than a
-- topic holds anything. Not tied to `tables`: a table that is taken out and in again has the same topic.
CREATE TABLE millrace.erasures (
    source     text NOT NULL,
    name       text NOT NULL,               -- schema.table
    key        text[] NOT NULL,             -- as proofs spell it
    version    numeric(39) NOT NULL,
    erased_at  timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    PRIMARY KEY (source, name, key)
);
