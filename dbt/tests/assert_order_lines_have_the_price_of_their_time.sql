{{ config(meta={'dagster': {'ref': {'name': 'dim_prices_history'}}}) }}
-- The price that a line was agreed at was in force at some moment between the placing of its order and the writing of the line.
-- Only lines whose products had a known price before; prices and orders travel through two topics. A commit is seen a moment after
-- its time, the longer the further its replica is.
with
    lines as (
        select items.order_id as order_id, items.line as line, items.product_id as product_id, items.unit_price as unit_price,
               orders.currency as currency, orders.placed_at as placed_at, items.created_at as created_at
        from {{ ref('stg_orders__order_items') }} as items
        inner join {{ ref('stg_orders__orders') }} as orders on orders.order_id = items.order_id
        where items._ingested_at < (select max(_loaded_at) from {{ ref('dim_prices_history') }}) - interval {{ var('settle_seconds') }} second
    ),
    known as (select product_id, min(valid_from) as since from {{ ref('dim_prices_history') }} group by product_id),
    held as (select product_id, price, currency, valid_from, valid_to from {{ ref('dim_prices_history') }})
select lines.order_id as order_id, lines.line as line, any(lines.unit_price) as unit_price
from lines
inner join known on known.product_id = lines.product_id and known.since <= lines.placed_at
left join held on held.product_id = lines.product_id
group by lines.order_id, lines.line
having countIf(
    held.price = toDecimal64(lines.unit_price, 2) and held.currency = lines.currency
    and held.valid_from <= lines.created_at
    and ifNull(held.valid_to + interval {{ var('settle_seconds') }} second >= lines.placed_at, true)) = 0
