{{ config(materialized='table', order_by='(changed_at, order_id)') }}
-- One row per step of an order: what it was, what it became, and how long it had been that. Built anew in every run, because a
-- window over an order's versions has to see all of them.
with
    periods as ({{ periods('stg_orders__orders__history', 'order_id', ['status']) }})
select
    order_id,
    toUInt32(row_number() over by_time) as change_number,
    cast(lagInFrame(toNullable(status)) over by_time as Nullable(String)) as status_before,
    cast(assumeNotNull(status) as String) as status,
    valid_from as changed_at,
    dateDiff('millisecond', lagInFrame(toNullable(valid_from)) over by_time, valid_from) / 1000 as before_seconds,
    is_current,
    {{ loaded_at() }} as _loaded_at
from periods
window by_time as (partition by order_id order by valid_from rows between unbounded preceding and unbounded following)
