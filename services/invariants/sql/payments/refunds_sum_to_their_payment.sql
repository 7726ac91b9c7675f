-- What a payment says was given back is the sum of its refunds, and of their transfers in the ledger.
SELECT payments.order_id, payments.refunded, sum(refunds.amount) AS refunds, sum(transfers.amount) AS posted
FROM public.payments
LEFT JOIN public.refunds ON refunds.payment_id = payments.id
LEFT JOIN public.transfers ON transfers.id = 'refund:' || refunds.id
GROUP BY payments.id
HAVING payments.refunded <> coalesce(sum(refunds.amount), 0) OR payments.refunded <> coalesce(sum(transfers.amount), 0)
