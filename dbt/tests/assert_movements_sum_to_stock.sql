{{ config(meta={'dagster': {'ref': {'name': 'fct_inventory_daily'}}}) }}
-- Mass balance: the last day of each product is its stock row. Products that moved since the fact was built are left out;
-- movements and stock travel through two topics.
with
    latest as (
        select product_id, argMax(available, day) as available, argMax(reserved, day) as reserved, argMax(sold_so_far, day) as sold
        from {{ ref('fct_inventory_daily') }}
        group by product_id
    ),
    stock as (
        select product_id, available, reserved, sold
        from {{ ref('stg_products__stock') }}
        where updated_at < (select max(_loaded_at) from {{ ref('fct_inventory_daily') }}) - interval {{ var('settle_seconds') }} second
    )
select stock.product_id as product_id, stock.available, latest.available
from stock
left join latest on latest.product_id = stock.product_id
where (toInt64(stock.available), toInt64(stock.reserved), toInt64(stock.sold))
    != (ifNull(latest.available, 0), ifNull(latest.reserved, 0), ifNull(latest.sold, 0))
