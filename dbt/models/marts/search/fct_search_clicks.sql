{{ config(materialized='table', order_by='(clicked_at, click_id)') }}
-- One row per chosen result; was it put into a cart later in the same visit, by the shop front's word.
with
    events as (select * from {{ ref('stg_clickstream__events') }}),
    carted as (
        select session_id, assumeNotNull(product_id) as product_id, max(happened_at) as last_at
        from events
        where source = 'clickstream' and type = 'cart_add' and isNotNull(product_id) and session_id != ''
        group by session_id, product_id
    )
select
    clicks.event_id as click_id,
    clicks.query_id as query_id,
    clicks.session_id as session_id,
    clicks.customer_id as customer_id,
    assumeNotNull(clicks.product_id) as product_id,
    toUInt32(ifNull(clicks.position, 0)) as position,
    cast(ifNull(carted.last_at >= clicks.happened_at, false) as Bool) as is_added_to_cart,
    clicks.happened_at as clicked_at,
    {{ loaded_at() }} as _loaded_at
from events as clicks
left join carted on carted.session_id = clicks.session_id and carted.product_id = clicks.product_id
where clicks.source = 'search' and clicks.type = 'click' and isNotNull(clicks.product_id)
