{{ config(materialized='table', order_by='(product_id, valid_from)') }}
-- What a product was called, where it stood and whether it was for sale, and from when to when. Prices have a history of their own.
select
    product_id,
    cast(assumeNotNull(sku) as String) as sku,
    cast(assumeNotNull(product_name) as String) as product_name,
    cast(brand as Nullable(String)) as brand,
    cast(category_id as Nullable(UUID)) as category_id,
    cast(assumeNotNull(status) as String) as status,
    valid_from,
    valid_to,
    is_current,
    {{ loaded_at() }} as _loaded_at
from ({{ periods('stg_products__products__history', 'product_id', ['sku', 'product_name', 'brand', 'category_id', 'status']) }})
