-- An AUTHORISED payment has a pending transfer that is neither posted nor voided, and no other payment has one.
SELECT payments.order_id, payments.status
FROM public.payments
LEFT JOIN public.transfers AS pending ON pending.id = payments.order_id || ':authorise'
LEFT JOIN public.transfers AS resolved ON resolved.pending_id = pending.id
WHERE (payments.status = 'AUTHORISED') <> (pending.id IS NOT NULL AND resolved.id IS NULL)
