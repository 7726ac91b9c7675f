-- One row per order with its money: the whole logic of fct_orders, which only decides what to rebuild.
with
    orders as (select * from {{ ref('stg_orders__orders') }}),
    payments as (select * from {{ ref('stg_payments__payments') }}),
    lines as (
        select order_id, count() as lines, sum(quantity) as units, sum(line_total) as amount
        from {{ ref('stg_orders__order_items') }}
        group by order_id
    )
select
    orders.order_id as order_id,
    orders.customer_id as customer_id,
    orders.status as status,
    orders.failure as failure,
    orders.currency as currency,
    {{ as_money('orders.subtotal') }} as subtotal,
    {{ as_money('orders.discount') }} as discount,
    {{ as_money('orders.tax') }} as tax,
    {{ as_money('orders.shipping') }} as shipping,
    {{ as_money('orders.total') }} as total,
    toUInt32(ifNull(lines.lines, 0)) as lines,
    toInt64(ifNull(lines.units, 0)) as units,
    payments.payment_id as payment_id,
    payments.method as payment_method,
    payments.status as payment_status,
    {{ as_money("if(payments.status in ('CAPTURED', 'REFUNDED'), payments.amount, 0)") }} as captured,
    {{ as_money('payments.refunded') }} as refunded,
    cast(orders.status = 'CONFIRMED' or (orders.status = 'CANCELLED' and captured > 0) as Bool) as is_sale,
    if(is_sale, total, toDecimal64(0, 2)) as gross_revenue,
    if(is_sale, refunded, toDecimal64(0, 2)) as refunds,
    cast(gross_revenue - refunds as Decimal(18, 2)) as net_revenue,
    orders.placed_at as placed_at,
    orders.updated_at as updated_at
from orders
left join lines on lines.order_id = orders.order_id
left join payments on payments.order_id = orders.order_id
settings join_use_nulls = 1  -- the view means this, whoever reads it with whatever settings
