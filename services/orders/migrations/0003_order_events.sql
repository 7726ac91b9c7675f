-- An order is its events. They are kept outside the schema public: other parts read the tables that are projected from
-- them, whose columns stay, while the events' own shape changes with the service (types are versioned and upcast in it).
CREATE TABLE service.order_events (
    stream_id   uuid NOT NULL,
    version     bigint NOT NULL CHECK (version > 0),
    type        text NOT NULL,
    data        jsonb NOT NULL,
    meta        jsonb NOT NULL DEFAULT '{}',
    -- Not now(): a transaction that began earlier may append later.
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (stream_id, version)
);

-- A shortcut for reading a long stream; can be emptied at any time.
CREATE TABLE service.order_snapshots (
    stream_id uuid PRIMARY KEY,
    version   bigint NOT NULL,
    shape     integer NOT NULL,
    state     jsonb NOT NULL
);

-- Orders from before their events were kept. When they were confirmed is not known for those that were cancelled later:
-- the time of their lines stands for it. Of the payment's method nothing is known here, hence the first event's version.
WITH lined AS (
    SELECT order_id, min(created_at) AS created_at,
           jsonb_agg(jsonb_build_object('product_id', product_id, 'sku', sku, 'name', product_name,
                                        'quantity', quantity, 'unit_price', unit_price::text) ORDER BY line) AS lines
    FROM public.order_items GROUP BY order_id),
history AS (
    SELECT id, 1 AS place, 'OrderPlaced.v1' AS type, placed_at AS recorded_at,
           jsonb_build_object('user_id', user_id, 'currency', CASE WHEN lined.order_id IS NULL THEN currency ELSE 'EUR' END) AS data
    FROM public.orders LEFT JOIN lined ON order_id = id
    UNION ALL
    SELECT id, 2, 'StockReserved.v1', lined.created_at,
           jsonb_build_object('lines', lines, 'currency', currency, 'subtotal', subtotal::text, 'discount', discount::text,
                              'tax', tax::text, 'shipping', shipping::text)
    FROM public.orders JOIN lined ON order_id = id
    UNION ALL
    SELECT id, 3, 'OrderConfirmed.v1', CASE status WHEN 'CONFIRMED' THEN updated_at ELSE coalesce(lined.created_at, placed_at) END, '{}'
    FROM public.orders LEFT JOIN lined ON order_id = id WHERE status IN ('CONFIRMED', 'CANCELLED')
    UNION ALL
    SELECT id, 4, 'OrderFailed.v1', updated_at, jsonb_build_object('reason', coalesce(failure, ''))
    FROM public.orders WHERE status = 'FAILED'
    UNION ALL
    SELECT id, 5, 'OrderCancelled.v1', updated_at, '{}' FROM public.orders WHERE status = 'CANCELLED')
INSERT INTO service.order_events (stream_id, version, type, data, meta, recorded_at)
SELECT id, row_number() OVER (PARTITION BY id ORDER BY place), type, data, '{"source": "migration"}', recorded_at FROM history;

-- What the events reproduce: the version counts them, a change's time is theirs.
UPDATE public.orders SET version = last.version, updated_at = last.recorded_at
FROM (SELECT DISTINCT ON (stream_id) stream_id, version, recorded_at FROM service.order_events ORDER BY stream_id, version DESC) AS last
WHERE id = stream_id AND (orders.version, orders.updated_at) IS DISTINCT FROM (last.version, last.recorded_at);

CREATE FUNCTION service.refuse_to_change_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are facts: % of % is refused, append another event', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER order_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON service.order_events
    FOR EACH STATEMENT EXECUTE FUNCTION service.refuse_to_change_events();
REVOKE UPDATE, DELETE, TRUNCATE ON service.order_events FROM CURRENT_USER;
