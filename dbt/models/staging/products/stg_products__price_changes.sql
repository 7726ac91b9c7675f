select
    id as price_change_id,
    product_id,
    old_amount,
    old_currency,
    new_amount,
    new_currency,
    new_compare_at,
    at as changed_at,
    {{ is_copied() }},
    _committed_at,
    _ingested_at,
    _batch
from {{ latest_rows('raw_products', 'price_changes') }}
