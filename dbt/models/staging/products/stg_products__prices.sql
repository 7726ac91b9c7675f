select
    product_id,
    amount,
    currency,
    compare_at,
    updated_at,
    _committed_at,
    _ingested_at,
    _batch
from {{ latest_rows('raw_products', 'prices') }}
