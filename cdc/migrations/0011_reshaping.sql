-- A table whose copy is made anew in another shape: it is parked meanwhile. What was being written when that was asked for
-- (batches up to `held_batch`) was begun with the former shape, and must have ended before the new copy takes its place.
ALTER TABLE millrace.tables ADD COLUMN reshaping boolean NOT NULL DEFAULT false, ADD COLUMN held_batch bigint NOT NULL DEFAULT 0;

-- Raised with every change of a recorded shape, or of which tables are followed: a sink that has another number must look again.
CREATE TABLE millrace.revision (number bigint NOT NULL);
INSERT INTO millrace.revision VALUES (0);

-- The number of a batch, and the revision by which it has to be written. The lock orders it against `ask_to_reshape`: either this
-- batch is among those that are waited for, or it sees the new revision.
CREATE FUNCTION millrace.open_batch_now(by_writer text, OUT batch bigint, OUT revision bigint) LANGUAGE plpgsql AS $$
BEGIN
    batch := millrace.open_batch(by_writer);
    SELECT number INTO revision FROM millrace.revision;
END $$;
