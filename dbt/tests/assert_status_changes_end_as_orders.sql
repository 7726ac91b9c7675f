{{ config(meta={'dagster': {'ref': {'name': 'fct_order_status_changes'}}}) }}
-- What an order became last is what it is. Orders that changed since the fact was built are left out.
with
    ended as (select order_id, status from {{ ref('fct_order_status_changes') }} where is_current),
    orders as (
        select order_id, status from {{ ref('stg_orders__orders') }}
        where _ingested_at < (select max(_loaded_at) from {{ ref('fct_order_status_changes') }}) - interval {{ var('settle_seconds') }} second
    )
select orders.order_id as order_id, orders.status as status, ended.status as ended_as
from orders
left join ended on ended.order_id = orders.order_id
where not ifNull(orders.status = ended.status, false)
