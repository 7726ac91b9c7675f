-- What a payment says was captured has been posted in the ledger under the order's name, to the cent, and nothing else has.
SELECT payments.order_id, payments.captured, sum(transfers.amount) AS posted
FROM public.payments
LEFT JOIN public.transfers ON transfers.id IN (payments.order_id || ':capture', payments.order_id || ':capture-late')
GROUP BY payments.id
HAVING payments.captured <> coalesce(sum(transfers.amount), 0)
