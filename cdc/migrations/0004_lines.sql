-- Why a source's epoch is being raised, until that is finished.
ALTER TABLE millrace.sources ADD COLUMN raising text;

-- Why a table's copy is to be compared with its source and mended; null: nothing asks for it.
ALTER TABLE millrace.tables ADD COLUMN mend text;
