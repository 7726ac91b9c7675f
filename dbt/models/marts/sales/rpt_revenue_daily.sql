{{ config(materialized='table', order_by='(day, currency)') }}
-- Sales stand on the day they were placed, with what was given back of them since; `refunds_issued` is the same money
-- on the day it went back. A day with only refunds has a row too.
with
    moves as (
        select
            toDate32(placed_at) as day, currency,
            toUInt64(is_sale) as sales,
            toUInt64(is_sale and status = 'CANCELLED') as cancelled,
            if(is_sale, units, 0) as sold,
            if(is_sale, discount, toDecimal64(0, 2)) as discounted,
            if(is_sale, tax, toDecimal64(0, 2)) as taxed,
            if(is_sale, shipping, toDecimal64(0, 2)) as shipped,
            gross_revenue as gross, refunds as given_back, toDecimal64(0, 2) as issued
        from {{ ref('fct_orders') }}
        union all
        select
            toDate32(refunds.refunded_at) as day, payments.currency as currency,
            toUInt64(0) as sales, toUInt64(0) as cancelled, toInt64(0) as sold,
            toDecimal64(0, 2) as discounted, toDecimal64(0, 2) as taxed, toDecimal64(0, 2) as shipped,
            toDecimal64(0, 2) as gross, toDecimal64(0, 2) as given_back, {{ as_money('refunds.amount') }} as issued
        from {{ ref('stg_payments__refunds') }} as refunds
        inner join {{ ref('stg_payments__payments') }} as payments on payments.payment_id = refunds.payment_id
    )
select
    day,
    currency,
    sum(sales) as orders,
    sum(cancelled) as cancelled_orders,
    sum(sold) as units,
    {{ as_total('sum(discounted)') }} as discounts,
    {{ as_total('sum(taxed)') }} as tax,
    {{ as_total('sum(shipped)') }} as shipping,
    {{ as_total('sum(gross)') }} as gross_revenue,
    {{ as_total('sum(given_back)') }} as refunds,
    cast(gross_revenue - refunds as Decimal(38, 2)) as net_revenue,
    {{ as_total('sum(issued)') }} as refunds_issued,
    {{ money_per('gross_revenue', 'orders') }} as average_order_value,
    {{ loaded_at() }} as _loaded_at
from moves
group by day, currency
