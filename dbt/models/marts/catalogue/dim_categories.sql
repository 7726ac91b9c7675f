{{ config(materialized='table', order_by='category_id') }}
-- The tree of categories; `products` counts those directly in the category, `products_below` the whole branch.
with
    categories as (select * from {{ ref('stg_products__categories') }}),
    direct as (select category_id, count() as products from {{ ref('stg_products__products') }} group by category_id),
    below as (
        select categories.category_id as category_id, sum(direct.products) as products
        from categories
        cross join categories as inner_categories
        inner join direct on direct.category_id = inner_categories.category_id
        where arraySlice(inner_categories.path, 1, length(categories.path)) = categories.path
        group by category_id
    )
select
    categories.category_id as category_id,
    categories.category_name as category_name,
    categories.slug as slug,
    categories.parent_category_id as parent_category_id,
    arrayStringConcat(categories.path, ' > ') as category_path,
    toUInt8(length(categories.path)) as depth,
    toUInt64(ifNull(direct.products, 0)) as products,
    toUInt64(ifNull(below.products, 0)) as products_below,
    {{ loaded_at() }} as _loaded_at
from categories
left join direct on direct.category_id = categories.category_id
left join below on below.category_id = categories.category_id
