select
    id as product_id,
    sku,
    category_id,
    group_id as product_group_id,
    variant,
    name as product_name,
    brand,
    description,
    attributes,
    status,
    created_at,
    updated_at,
    version,
    _committed_at,
    _ingested_at,
    _batch
from {{ latest_rows('raw_products', 'products') }}
