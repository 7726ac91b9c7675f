{{ config(materialized='table', order_by='(source, table_name, minute)') }}
-- Seconds from the commit in PostgreSQL to the insert here, per captured table and minute of the last week. Copies by
-- backfill and repair are in it too: they carry the time of their reading, so they look fast.
select
    source,
    table_name,
    toStartOfMinute(_ingested_at) as minute,
    count() as rows,
    quantileExact(0.5)(seconds) as p50_seconds,
    quantileExact(0.99)(seconds) as p99_seconds,
    max(seconds) as max_seconds,
    {{ loaded_at() }} as _loaded_at
from (
    select *, dateDiff('microsecond', _committed_at, _ingested_at) / 1e6 as seconds
    from {{ ref('stg_millrace__copied_rows') }}
    where _ingested_at >= {{ loaded_at() }} - interval 7 day
)
group by source, table_name, minute
