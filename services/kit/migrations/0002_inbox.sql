-- Events that a consumer has taken in, written in the transaction of their effect (services/kit/inbox.py).
CREATE TABLE service.inbox (
    consumer    text NOT NULL CHECK (length(consumer) BETWEEN 1 AND 100),
    event_id    uuid NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX inbox_received_at_idx ON service.inbox (received_at);
