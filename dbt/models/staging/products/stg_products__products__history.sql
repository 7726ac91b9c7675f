-- Every version of every product, ends among them. Of an end only the key counts.
select
    id as product_id,
    sku,
    category_id,
    name as product_name,
    brand,
    status,
    updated_at,
    {{ version_columns() }}
from {{ latest_rows('raw_products', 'products__history') }}
