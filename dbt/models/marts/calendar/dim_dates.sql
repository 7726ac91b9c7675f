{{ config(materialized='table', order_by='day') }}
-- Every day from the year before the first order to the end of next year, for reports without gaps.
with
    span as (
        select
            toDate32(toStartOfYear(addYears(ifNull(min(placed_at), {{ loaded_at() }}), -1))) as first_day,
            toDate32(addYears(toStartOfYear({{ loaded_at() }}), 2)) as end_day
        from {{ ref('fct_orders') }}
    )
select
    arrayJoin(arrayMap(after -> addDays(first_day, after), range(toUInt32(dateDiff('day', first_day, end_day))))) as day,
    toUInt16(toYear(day)) as year,
    toUInt8(toQuarter(day)) as quarter,
    toUInt8(toMonth(day)) as month,
    toDate32(toStartOfMonth(day)) as month_start,
    toDate32(toMonday(day)) as week_start,
    toUInt8(toISOWeek(day)) as iso_week,
    toUInt16(toISOYear(day)) as iso_year,
    toUInt8(toDayOfWeek(day)) as weekday,
    cast(weekday >= 6 as Bool) as is_weekend
from span
