select
    id as category_id,
    parent_id as parent_category_id,
    name as category_name,
    slug,
    path,
    attribute_schema,
    created_at,
    updated_at,
    version,
    _committed_at,
    _ingested_at,
    _batch
from {{ latest_rows('raw_products', 'categories') }}
