-- No order is PENDING for longer than a hold lives (15 minutes) and five minutes more without a saga that is at work on it.
SELECT id AS order_id, placed_at FROM public.orders
WHERE status = 'PENDING' AND placed_at < clock_timestamp() - interval '20 minutes'
    AND NOT EXISTS (
        SELECT FROM dbos.workflow_status
        WHERE workflow_uuid IN (orders.id::text, orders.id || ':cancel', orders.id || ':abandon')
            AND status IN ('PENDING', 'ENQUEUED', 'DELAYED')
    )
