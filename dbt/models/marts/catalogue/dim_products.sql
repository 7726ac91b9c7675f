{{ config(materialized='table', order_by='product_id') }}
-- Everything in the catalogue and everything that was ever sold. A product that is gone keeps a row with the name and
-- SKU of its last line; its price and stock are gone with it.
with
    products as (select * from {{ ref('stg_products__products') }}),
    categories as (select * from {{ ref('stg_products__categories') }}),
    prices as (select * from {{ ref('stg_products__prices') }}),
    stock as (select * from {{ ref('stg_products__stock') }}),
    sold as (
        select
            items.product_id as product_id,
            argMax(items.sku, (items.placed_at, items.order_id)) as sku,
            argMax(items.product_name, (items.placed_at, items.order_id)) as product_name,
            sumIf(items.quantity, orders.is_sale) as units_sold,
            maxIf(items.placed_at, orders.is_sale) as last_sold_at
        from {{ ref('fct_order_items') }} as items
        inner join {{ ref('fct_orders') }} as orders on orders.order_id = items.order_id
        group by product_id
    )
select
    assumeNotNull(coalesce(products.product_id, sold.product_id)) as product_id,
    coalesce(products.sku, sold.sku, '') as sku,
    coalesce(products.product_name, sold.product_name, '') as product_name,
    products.brand as brand,
    products.status as status,
    cast(isNull(products.product_id) as Bool) as is_deleted,
    products.category_id as category_id,
    if(isNull(categories.category_id), null, arrayStringConcat(categories.path, ' > ')) as category_path,
    if(isNull(categories.category_id), null, categories.path[1]) as category_root,
    cast(prices.amount as Nullable(Decimal(18, 2))) as price,
    prices.currency as currency,
    toInt64(stock.available) as units_available,
    toInt64(stock.reserved) as units_reserved,
    toInt64(ifNull(sold.units_sold, 0)) as units_sold,
    if(sold.units_sold > 0, sold.last_sold_at, null) as last_sold_at,
    products.created_at as created_at,
    {{ loaded_at() }} as _loaded_at
from products
full outer join sold on sold.product_id = products.product_id
left join categories on categories.category_id = products.category_id
left join prices on prices.product_id = products.product_id
left join stock on stock.product_id = products.product_id
