{{ config(materialized='table', order_by='(snapshot_date, customer_id)') }}
-- Recency, frequency and money of each customer who had bought by the snapshot, at the end of each month and on the
-- day of the run. Scores are quintiles of the rank, 5 is best; equal values have equal scores, so a small shop is not
-- split by chance. Frequency and money look back a year.
with
    sales as (
        select customer_id, toDate32(placed_at) as day, if(currency = '{{ var("shop_currency") }}', net_revenue, toDecimal64(0, 2)) as net
        from {{ ref('fct_orders') }}
        where is_sale
    ),
    snapshots as (
        select least(toDate32(toLastDayOfMonth(month)), toDate32({{ loaded_at() }})) as snapshot_date
        from (select distinct month from {{ ref('customer_cohorts') }})
    ),
    measured as (
        select
            snapshots.snapshot_date as snapshot_date,
            sales.customer_id as customer_id,
            dateDiff('day', max(sales.day), snapshots.snapshot_date) as days_since_order,
            countIf(sales.day > addYears(snapshots.snapshot_date, -1)) as orders_in_year,
            sumIf(sales.net, sales.day > addYears(snapshots.snapshot_date, -1)) as revenue_in_year
        from snapshots
        cross join sales
        where sales.day <= snapshots.snapshot_date
        group by snapshot_date, customer_id
    ),
    scored as (
        select
            *,
            count() over (partition by snapshot_date) as customers,
            toUInt8(1 + intDiv(5 * (rank() over (partition by snapshot_date order by days_since_order desc) - 1), customers)) as recency_score,
            toUInt8(1 + intDiv(5 * (rank() over (partition by snapshot_date order by orders_in_year) - 1), customers)) as frequency_score,
            toUInt8(1 + intDiv(5 * (rank() over (partition by snapshot_date order by revenue_in_year) - 1), customers)) as monetary_score
        from measured
    ),
    segmented as (
        select
            *,
            multiIf(
                recency_score >= 4 and frequency_score >= 4, 'champions',
                recency_score >= 3 and frequency_score >= 3, 'loyal',
                recency_score >= 4, 'new or returning',
                frequency_score >= 3, 'at risk',
                recency_score = 3, 'needs attention',
                'asleep'
            ) as segment
        from scored
    )
select
    customer_id,
    snapshot_date,
    toInt32(days_since_order) as days_since_order,
    toUInt64(orders_in_year) as orders_in_year,
    {{ as_total('revenue_in_year') }} as revenue_in_year,
    recency_score,
    frequency_score,
    monetary_score,
    segment,
    nullIf(lagInFrame(segment, 1, '') over (partition by customer_id order by snapshot_date rows between unbounded preceding and unbounded following), '') as moved_from,
    {{ loaded_at() }} as _loaded_at
from segmented
