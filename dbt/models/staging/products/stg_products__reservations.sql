select
    order_id,
    product_id,
    quantity,
    state,
    expires_at,
    created_at,
    updated_at,
    _committed_at,
    _ingested_at,
    _batch
from {{ latest_rows('raw_products', 'reservations') }}
