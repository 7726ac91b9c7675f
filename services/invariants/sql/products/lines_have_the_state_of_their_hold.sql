-- Every line that is reserved for an order has the state and the end of the order's hold.
SELECT reservations.order_id, reservations.product_id, reservations.state, holds.state AS hold
FROM public.reservations LEFT JOIN service.holds ON holds.order_id = reservations.order_id
WHERE (reservations.state, reservations.expires_at) IS DISTINCT FROM (holds.state, holds.expires_at)
