select
    id as stock_movement_id,
    product_id,
    kind,
    quantity,
    order_id,
    reason,
    at as moved_at,
    _committed_at,
    _ingested_at,
    _batch
from {{ latest_rows('raw_products', 'stock_movements') }}
