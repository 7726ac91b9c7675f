-- No more is given back than was taken, and no more taken than was agreed.
SELECT order_id, status, amount, captured, refunded FROM public.payments
WHERE refunded > captured OR captured > amount
