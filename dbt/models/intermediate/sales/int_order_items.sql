-- One row per order line, dated by its order: the whole logic of fct_order_items. A line whose order is not there is
-- no line yet; the order's arrival is a change that brings it in.
with
    items as (select * from {{ ref('stg_orders__order_items') }}),
    orders as (select * from {{ ref('stg_orders__orders') }})
select
    items.order_id as order_id,
    items.line as line,
    orders.customer_id as customer_id,
    orders.status as order_status,
    items.product_id as product_id,
    items.sku as sku,
    items.product_name as product_name,
    toInt64(items.quantity) as quantity,
    {{ as_money('items.unit_price') }} as unit_price,
    {{ as_money('items.line_total') }} as line_total,
    orders.currency as currency,
    orders.placed_at as placed_at
from items
inner join orders on orders.order_id = items.order_id
