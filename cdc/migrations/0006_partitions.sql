-- The leaves of a partitioned table as they were last seen, with the files that hold them; null: not looked at yet.
ALTER TABLE millrace.tables ADD COLUMN leaves jsonb;
