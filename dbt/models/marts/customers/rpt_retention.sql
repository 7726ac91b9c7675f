{{ config(materialized='table', order_by='(cohort_month, month_number)') }}
-- How many customers of a month's cohort bought again so many months later. The running month is marked, not left out.
select
    cohort_month,
    month_number,
    any(cohorts.month) as month,
    count() as customers,
    countIf(cohorts.orders > 0) as active_customers,
    active_customers / customers as retention,
    sum(cohorts.orders) as orders,
    {{ as_total('sum(cohorts.net_revenue)') }} as net_revenue,
    {{ as_total('sum(cohorts.lifetime_value)') }} as lifetime_value,
    {{ money_per('lifetime_value', 'customers') }} as lifetime_value_per_customer,
    cast(month = toDate32(toStartOfMonth({{ loaded_at() }})) as Bool) as is_running_month,
    {{ loaded_at() }} as _loaded_at
from {{ ref('customer_cohorts') }} as cohorts
group by cohort_month, month_number
