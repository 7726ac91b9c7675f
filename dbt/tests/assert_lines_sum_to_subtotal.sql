{{ config(meta={'dagster': {'ref': {'name': 'fct_order_items'}}}) }}
-- The lines of an accepted order sum to its subtotal; lines may still be on their way through their own topic.
select orders.order_id as order_id, orders.subtotal as subtotal, ifNull(items.amount, 0) as amount
from {{ ref('fct_orders') }} as orders
left join (select order_id, sum(line_total) as amount from {{ ref('fct_order_items') }} group by order_id) as items
    on items.order_id = orders.order_id
where orders.status in ('CONFIRMED', 'CANCELLED')
    and amount != subtotal
    and orders.updated_at < orders._loaded_at - interval {{ var('settle_seconds') }} second
