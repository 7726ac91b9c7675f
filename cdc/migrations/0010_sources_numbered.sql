-- Tells a source from one of the same name that was taken out before it: the topics of the two are others.
ALTER TABLE millrace.sources ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY;
