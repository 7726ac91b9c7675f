-- An order's subtotal is the sum of its lines; one that failed before its lines were known has neither.
SELECT orders.id AS order_id, orders.subtotal, sum(order_items.line_total) AS lines
FROM public.orders LEFT JOIN public.order_items ON order_items.order_id = orders.id
GROUP BY orders.id
HAVING orders.subtotal <> coalesce(sum(order_items.line_total), 0)
