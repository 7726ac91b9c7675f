-- The engine's own state: what is captured, from where, and how far. A source database gets none of this.
CREATE TABLE millrace.sources (
    source            text PRIMARY KEY,
    system_identifier bigint NOT NULL,
    timeline          integer NOT NULL,
    epoch             smallint NOT NULL DEFAULT 1 CHECK (epoch BETWEEN 1 AND 255),
    definition        json NOT NULL,       -- the source file as applied: what every process of the engine works by
    created_at        timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE millrace.tables (
    source    text NOT NULL REFERENCES millrace.sources,
    name      text NOT NULL,               -- schema.table
    shape     jsonb NOT NULL,              -- cdc.catalog.Shape as JSON: what the sink inserts by
    targets   text[] NOT NULL,
    PRIMARY KEY (source, name)
);

-- A backfill copies one table below its fence, range by range; done ranges survive a crash.
CREATE TABLE millrace.backfills (
    id          bigserial PRIMARY KEY,
    source      text NOT NULL,
    name        text NOT NULL,
    epoch       smallint NOT NULL,
    fence       bigint NOT NULL,           -- L0: every row is stamped (epoch, L0, 0)
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    FOREIGN KEY (source, name) REFERENCES millrace.tables ON DELETE CASCADE
);

CREATE TABLE millrace.chunks (
    backfill bigint NOT NULL REFERENCES millrace.backfills ON DELETE CASCADE,
    number   integer NOT NULL,
    lower    text[],                       -- exclusive; null: from the start
    upper    text[],                       -- inclusive; null: to the end
    rows     bigint,                       -- null: not copied yet
    PRIMARY KEY (backfill, number)
);

-- Every insert into a raw table has a number, recorded open before the insert and closed after it: readers that follow
-- `_batch` read below the lowest open one, so a stalled insert is never skipped.
CREATE TABLE millrace.batches (
    batch     bigserial PRIMARY KEY,
    writer    text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz
);
CREATE INDEX batches_open_idx ON millrace.batches (batch) WHERE closed_at IS NULL;

CREATE TABLE millrace.proofs (
    source       text NOT NULL,
    name         text NOT NULL,
    target       text NOT NULL,
    lsn          bigint NOT NULL,
    source_rows  bigint NOT NULL,
    target_rows  bigint NOT NULL,
    differing    bigint NOT NULL,
    proven_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX proofs_latest_idx ON millrace.proofs (source, name, proven_at DESC);
