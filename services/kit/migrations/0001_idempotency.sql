-- Replies to requests that carried an Idempotency-Key, so that a repetition gets the first answer (services/kit/idempotency.py).
-- A row without a status belongs to a request whose effect is still under way.
CREATE TABLE service.idempotency (
    principal   text NOT NULL CHECK (length(principal) <= 200),
    key         text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint bytea NOT NULL,
    status      smallint CHECK (status BETWEEN 200 AND 499),
    headers     jsonb NOT NULL DEFAULT '{}',
    body        bytea NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (principal, key)
);
CREATE INDEX idempotency_created_at_idx ON service.idempotency (created_at);
