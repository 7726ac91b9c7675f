-- Payments by order: what was taken, what went back, and whether anything is still promised.
SELECT order_id, currency::text AS currency, captured, refunded, status IN ('PENDING', 'AUTHORISED') AS promised,
    updated_at < clock_timestamp() - interval '10 seconds' AS quiet
FROM public.payments WHERE order_id = ANY(%(ids)s)
