-- What a product's stock calls reserved is held by orders, what it calls sold was committed to them; and none is owed.
SELECT stock.product_id, stock.available, stock.reserved, stock.sold, held.held, held.committed
FROM public.stock
LEFT JOIN (
    SELECT product_id,
        sum(quantity) FILTER (WHERE state = 'held') AS held, sum(quantity) FILTER (WHERE state = 'committed') AS committed
    FROM public.reservations GROUP BY product_id
) AS held ON held.product_id = stock.product_id
WHERE stock.reserved <> coalesce(held.held, 0) OR stock.sold <> coalesce(held.committed, 0) OR stock.available < 0
