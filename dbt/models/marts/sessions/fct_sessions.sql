{{ config(materialized='table', order_by='(started_at, session_id)') }}
-- One row per visit, by the events of the shop front alone. An order counts when the orders service holds it, and is
-- revenue only as the marts say: a front end's word makes no money.
with
    events as (select * from {{ ref('stg_clickstream__events') }} where source = 'clickstream'),
    visits as (
        select
            session_id,
            argMinIf(customer_id, happened_at, isNotNull(customer_id)) as customer_id,
            min(happened_at) as started_at,
            max(happened_at) as ended_at,
            count() as events,
            countIf(type = 'page_view') as page_views,
            countIf(type = 'product_view') as product_views,
            countIf(type = 'search') as searches,
            countIf(type = 'cart_add') as cart_adds,
            countIf(type = 'cart_remove') as cart_removes,
            windowFunnel(86400000)(
                toUInt64(toUnixTimestamp64Milli(happened_at)), type = 'product_view', type = 'cart_add', type = 'order_placed'
            ) as steps_reached,
            minIf(happened_at, type = 'product_view') as viewed_at,
            minIf(happened_at, type = 'cart_add') as carted_at,
            minIf(happened_at, type = 'order_placed') as ordered_at
        from events
        group by session_id
    ),
    bought as (
        select
            placed.session_id as session_id,
            count() as orders,
            sumIf(orders.gross_revenue, orders.currency = '{{ var("shop_currency") }}') as gross
        from (select distinct session_id, assumeNotNull(order_id) as order_id from events where type = 'order_placed' and isNotNull(order_id)) as placed
        inner join {{ ref('fct_orders') }} as orders on orders.order_id = placed.order_id
        where orders.is_sale
        group by session_id
    )
select
    visits.session_id as session_id,
    visits.customer_id as customer_id,
    visits.started_at as started_at,
    visits.ended_at as ended_at,
    toUInt32(dateDiff('second', visits.started_at, visits.ended_at)) as duration_seconds,
    visits.events as events,
    visits.page_views as page_views,
    visits.product_views as product_views,
    visits.searches as searches,
    visits.cart_adds as cart_adds,
    visits.cart_removes as cart_removes,
    visits.steps_reached as steps_reached,
    toUInt64(ifNull(bought.orders, 0)) as orders,
    cast(orders > 0 as Bool) as is_converted,
    {{ as_total('bought.gross') }} as gross_revenue,
    cast(visits.cart_adds > 0 and orders = 0 and visits.ended_at < {{ loaded_at() }} - interval 1 hour as Bool) as is_cart_abandoned,
    {{ loaded_at() }} as _loaded_at
from visits
left join bought on bought.session_id = visits.session_id
