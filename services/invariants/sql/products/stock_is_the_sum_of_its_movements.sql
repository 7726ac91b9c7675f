-- received = available + reserved + sold, for every product, and each of the three is what its movements sum to.
WITH sums AS (
    SELECT product_id,
        coalesce(sum(quantity) FILTER (WHERE kind IN ('received', 'adjusted')), 0) AS received,
        coalesce(sum(quantity) FILTER (WHERE kind = 'reserved'), 0)
            - coalesce(sum(quantity) FILTER (WHERE kind IN ('released', 'expired', 'committed')), 0) AS reserved,
        coalesce(sum(quantity) FILTER (WHERE kind = 'committed'), 0)
            - coalesce(sum(quantity) FILTER (WHERE kind = 'returned'), 0) AS sold
    FROM public.stock_movements GROUP BY product_id
)
SELECT stock.product_id, stock.available, stock.reserved, stock.sold, sums.received
FROM public.stock LEFT JOIN sums ON sums.product_id = stock.product_id
WHERE stock.available + stock.reserved + stock.sold <> coalesce(sums.received, 0)
    OR stock.reserved <> coalesce(sums.reserved, 0) OR stock.sold <> coalesce(sums.sold, 0)
