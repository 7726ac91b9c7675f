-- A product's price is what the last entry of its history made it.
SELECT prices.product_id, prices.amount, prices.currency, last.new_amount, last.new_currency
FROM public.prices
LEFT JOIN LATERAL (
    SELECT * FROM public.price_changes
    WHERE price_changes.product_id = prices.product_id ORDER BY id DESC LIMIT 1
) AS last ON true
WHERE (prices.amount, prices.currency, prices.compare_at)
    IS DISTINCT FROM (last.new_amount, last.new_currency, last.new_compare_at)
