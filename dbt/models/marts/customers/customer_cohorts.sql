{{ config(materialized='table', order_by='(cohort_month, customer_id, month_number)') }}
-- One row per buying customer and month, from the month of the first sale to the month of the run, months without a
-- sale too. Money is in the shop's currency, sales of every currency are counted (docs/decisions.md).
with
    sales as (
        select
            customer_id, toDate32(toStartOfMonth(placed_at)) as month,
            count() as orders,
            sumIf(gross_revenue, currency = '{{ var("shop_currency") }}') as gross,
            sumIf(net_revenue, currency = '{{ var("shop_currency") }}') as net
        from {{ ref('fct_orders') }}
        where is_sale
        group by customer_id, month
    ),
    months as (
        select
            customer_id, cohort_month,
            arrayJoin(range(toUInt32(1 + dateDiff('month', cohort_month, toDate32({{ loaded_at() }}))))) as month_number
        from (select customer_id, min(month) as cohort_month from sales group by customer_id)
    )
select
    months.customer_id as customer_id,
    months.cohort_month as cohort_month,
    toUInt32(months.month_number) as month_number,
    toDate32(addMonths(months.cohort_month, months.month_number)) as month,
    toUInt64(ifNull(sales.orders, 0)) as orders,
    {{ as_total('sales.gross') }} as gross_revenue,
    {{ as_total('sales.net') }} as net_revenue,
    {{ as_total('sum(ifNull(sales.net, 0)) over (partition by months.customer_id order by months.month_number rows between unbounded preceding and current row)') }} as lifetime_value,
    {{ loaded_at() }} as _loaded_at
from months
left join sales on sales.customer_id = months.customer_id and sales.month = addMonths(months.cohort_month, months.month_number)
