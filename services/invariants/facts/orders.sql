-- Orders by id: what they say about money and goods. `quiet`: nothing has changed for ten seconds, and no saga is at work.
SELECT orders.id AS order_id, orders.status, orders.total, orders.currency::text AS currency,
    orders.status <> 'PENDING' AND orders.updated_at < clock_timestamp() - interval '10 seconds'
        AND NOT EXISTS (
            SELECT FROM dbos.workflow_status
            WHERE workflow_uuid IN (orders.id::text, orders.id || ':cancel', orders.id || ':abandon')
                AND status IN ('PENDING', 'ENQUEUED', 'DELAYED')
        ) AS quiet,
    coalesce((
        SELECT jsonb_object_agg(product_id, quantity) FROM (
            SELECT product_id, sum(quantity) AS quantity FROM public.order_items
            WHERE order_id = orders.id GROUP BY product_id) AS lines
    ), '{}') AS lines
FROM public.orders WHERE orders.id = ANY(%(ids)s)
