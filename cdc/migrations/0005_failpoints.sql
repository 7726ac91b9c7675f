-- Places in the code at which a process shall end itself by SIGKILL, so many times; empty but under chaos.
CREATE TABLE millrace.failpoints (
    name text PRIMARY KEY,
    left_over integer NOT NULL CHECK (left_over >= 0),
    hits integer NOT NULL DEFAULT 0
);
