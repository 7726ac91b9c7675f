{{ config(materialized='table', order_by='(day, step_number)') }}
-- How far the sessions that began on a day came, in order and within a day of the first product view.
select
    toDate32(started_at) as day,
    step_number,
    ['visit', 'product_view', 'cart_add', 'order_placed'][step_number + 1] as step,
    countIf(steps_reached >= step_number) as sessions,
    count() as visits,
    if(visits = 0, null, sessions / visits) as of_visits,
    if(step_number = 0, null, countIf(steps_reached >= step_number) / nullIf(countIf(steps_reached >= step_number - 1), 0)) as of_previous,
    {{ loaded_at() }} as _loaded_at
from {{ ref('fct_sessions') }}
array join [toUInt8(0), toUInt8(1), toUInt8(2), toUInt8(3)] as step_number
group by day, step_number
