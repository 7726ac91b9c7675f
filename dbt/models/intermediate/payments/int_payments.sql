-- One row per payment with its order: the whole logic of fct_payments.
with
    payments as (select * from {{ ref('stg_payments__payments') }}),
    orders as (select * from {{ ref('stg_orders__orders') }})
select
    payments.payment_id as payment_id,
    payments.order_id as order_id,
    orders.customer_id as customer_id,
    orders.status as order_status,
    payments.method as method,
    payments.status as status,
    payments.failure_code as failure_code,
    payments.currency as currency,
    {{ as_money('payments.amount') }} as amount,
    {{ as_money("if(payments.status in ('CAPTURED', 'REFUNDED'), payments.amount, 0)") }} as captured,
    {{ as_money('payments.refunded') }} as refunded,
    cast(captured - refunded as Decimal(18, 2)) as kept,
    payments.created_at as created_at,
    payments.updated_at as updated_at
from payments
left join orders on orders.order_id = payments.order_id
settings join_use_nulls = 1  -- the view means this, whoever reads it with whatever settings
