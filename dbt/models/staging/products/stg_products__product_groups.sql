select
    id as product_group_id,
    name as product_group_name,
    varies_by,
    created_at,
    updated_at,
    version,
    _committed_at,
    _ingested_at,
    _batch
from {{ latest_rows('raw_products', 'product_groups') }}
