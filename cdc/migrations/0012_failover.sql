-- What was decided when a raise was begun: a slot that has come along with a promotion is gone on with, any other is made anew.
ALTER TABLE millrace.sources ADD COLUMN keep_slot boolean NOT NULL DEFAULT false;
