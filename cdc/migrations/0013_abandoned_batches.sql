-- The session that opened a batch: when it is gone, nobody will close the batch, and readers would wait for it for ever.
ALTER TABLE millrace.batches ADD COLUMN backend integer DEFAULT pg_backend_pid();
UPDATE millrace.batches SET backend = NULL;
