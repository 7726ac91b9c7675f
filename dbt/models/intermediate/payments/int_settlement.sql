-- One row per payment: what the order owes, what the payment says was taken and given back, and what the ledger posted.
-- Three books kept by two services; each finding names the first two that disagree.
with
    payments as (select * from {{ ref('int_payments') }}),
    orders as (select order_id, is_sale, total from {{ ref('int_orders') }}),
    transfers as (select * from {{ ref('stg_payments__transfers') }} where kind in ('plain', 'post')),
    taken as (
        select toUUIDOrNull(splitByChar(':', transfer_id)[1]) as order_id, sum(amount) as amount
        from transfers where code = 'payment'
        group by order_id
    ),
    returned as (
        select refunds.payment_id as payment_id, sum(transfers.amount) as amount
        from transfers
        inner join {{ ref('stg_payments__refunds') }} as refunds on concat('refund:', toString(refunds.refund_id)) = transfers.transfer_id
        where transfers.code = 'refund'
        group by payment_id
    )
select
    payments.payment_id as payment_id,
    payments.order_id as order_id,
    payments.currency as currency,
    {{ as_money('if(ifNull(orders.is_sale, false), orders.total, 0)') }} as owed,
    payments.captured as captured,
    payments.refunded as refunded,
    {{ as_money('taken.amount') }} as ledger_captured,
    {{ as_money('returned.amount') }} as ledger_refunded,
    multiIf(
        isNull(orders.order_id) and captured != refunded, 'order unknown',
        owed > captured, 'owed and not captured',
        owed < captured and captured != refunded, 'captured and not owed',
        captured != ledger_captured, 'capture differs from ledger',
        refunded != ledger_refunded, 'refund differs from ledger',
        'matched'
    ) as finding,
    payments.created_at as created_at,
    payments.updated_at as updated_at
from payments
left join orders on orders.order_id = payments.order_id
left join taken on taken.order_id = payments.order_id
left join returned on returned.payment_id = payments.payment_id
settings join_use_nulls = 1  -- the view means this, whoever reads it with whatever settings
