select
    id as order_id,
    user_id as customer_id,
    status,
    failure,
    currency,
    subtotal,
    discount,
    tax,
    shipping,
    total,
    placed_at,
    updated_at,
    version,
    _committed_at,
    _ingested_at,
    _batch
from {{ latest_rows('raw_orders', 'orders') }}
