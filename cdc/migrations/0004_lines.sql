-- The line of a source's log: where its slot began, and why an epoch that is being raised is not finished.
ALTER TABLE millrace.sources ADD COLUMN start_lsn bigint NOT NULL DEFAULT 0;
ALTER TABLE millrace.sources ADD COLUMN raising text;

-- Why a table's copy is to be compared with its source and mended; null: nothing asks for it.
ALTER TABLE millrace.tables ADD COLUMN mend text;
