{{ config(materialized='table', order_by='(refunded_at, refund_id)') }}
-- One row per refund on the day the money went back; the order's day is beside it, because months differ.
select
    refunds.refund_id as refund_id,
    refunds.payment_id as payment_id,
    payments.order_id as order_id,
    orders.customer_id as customer_id,
    payments.currency as currency,
    {{ as_money('refunds.amount') }} as amount,
    refunds.reason as reason,
    cast(ifNull(orders.is_sale, false) as Bool) as is_of_sale,
    orders.placed_at as placed_at,
    refunds.refunded_at as refunded_at,
    if(isNull(orders.order_id), null, dateDiff('day', orders.placed_at, refunds.refunded_at)) as days_since_order,
    {{ loaded_at() }} as _loaded_at
from {{ ref('stg_payments__refunds') }} as refunds
inner join {{ ref('fct_payments') }} as payments on payments.payment_id = refunds.payment_id
left join {{ ref('fct_orders') }} as orders on orders.order_id = payments.order_id
