{{ config(materialized='table', order_by='(happened_at, event_id)') }}
-- What was put into carts and taken out again, with the price of today beside it: the cart's own price is not told.
select
    events.event_id as event_id,
    events.session_id as session_id,
    events.customer_id as customer_id,
    cast(events.type as String) as type,
    assumeNotNull(events.product_id) as product_id,
    toInt64(ifNull(events.quantity, 1)) as quantity,
    if(events.type = 'cart_add', quantity, -quantity) as change,
    events.happened_at as happened_at,
    {{ loaded_at() }} as _loaded_at
from {{ ref('stg_clickstream__events') }} as events
where events.source = 'clickstream' and events.type in ('cart_add', 'cart_remove') and isNotNull(events.product_id)
