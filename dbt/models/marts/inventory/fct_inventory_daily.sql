{{ config(materialized='table', order_by='(product_id, day)') }}
-- Stock of each product at the end of each day (UTC), from its first movement to the day of the run; days without a
-- movement carry the stock over.
with
    daily as (
        select
            product_id, toDate32(moved_at) as day,
            sum(to_available) as to_available, sum(to_reserved) as to_reserved, sum(to_sold) as to_sold,
            sumIf(quantity, kind = 'received') as received, sumIf(quantity, kind = 'adjusted') as adjusted,
            sumIf(quantity, kind = 'returned') as returned, sumIf(quantity, kind = 'committed') as committed
        from {{ ref('fct_inventory_movements') }}
        group by product_id, day
    ),
    days as (
        select
            product_id,
            arrayJoin(arrayMap(
                after -> addDays(first_day, after), range(toUInt32(1 + dateDiff('day', first_day, toDate32({{ loaded_at() }}))))
            )) as day
        from (select product_id, min(day) as first_day from daily group by product_id)
    ),
    filled as (
        select
            days.product_id as product_id, days.day as day,
            ifNull(daily.to_available, 0) as to_available, ifNull(daily.to_reserved, 0) as to_reserved,
            ifNull(daily.to_sold, 0) as to_sold, ifNull(daily.received, 0) as received, ifNull(daily.adjusted, 0) as adjusted,
            ifNull(daily.returned, 0) as returned, ifNull(daily.committed, 0) as committed
        from days
        left join daily on daily.product_id = days.product_id and daily.day = days.day
    )
select
    product_id,
    day,
    received,
    adjusted,
    committed as sold,
    returned,
    sum(to_available) over so_far as available,
    sum(to_reserved) over so_far as reserved,
    available + reserved as on_hand,
    sum(to_sold) over so_far as sold_so_far,
    cast(available <= 0 as Bool) as is_out_of_stock,
    sum(to_sold) over last_month as sold_in_30_days,
    if(sold_in_30_days > 0, round(available * 30 / sold_in_30_days, 1), null) as days_of_cover,
    {{ loaded_at() }} as _loaded_at
from filled
window
    so_far as (partition by product_id order by day rows between unbounded preceding and current row),
    last_month as (partition by product_id order by day rows between 29 preceding and current row)
