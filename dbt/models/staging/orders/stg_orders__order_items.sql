select
    order_id,
    line,
    product_id,
    sku,
    product_name,
    quantity,
    unit_price,
    line_total,
    created_at,
    _committed_at,
    _ingested_at,
    _batch
from {{ latest_rows('raw_orders', 'order_items') }}
