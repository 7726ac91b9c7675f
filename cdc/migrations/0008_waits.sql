-- Which process waits for its target, and why: told again while it lasts, so that what a dead process has told grows old.
CREATE TABLE millrace.waits (
    member text PRIMARY KEY,
    target text NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    told_at timestamptz NOT NULL DEFAULT now()
);
