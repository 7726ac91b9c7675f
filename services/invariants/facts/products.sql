-- Goods by order and product: what is held or sold.
SELECT order_id, product_id::text AS product_id, state, quantity,
    updated_at < clock_timestamp() - interval '10 seconds' AS quiet
FROM public.reservations WHERE order_id = ANY(%(ids)s)
