{{ config(
    materialized='incremental',
    incremental_strategy='insert_overwrite',
    on_schema_change='fail',
    partition_by='day',
    order_by='(day, app, job, model, user_name)',
    tags=['daily'],
) }}
-- What each day's statements cost. Built are the days that the call names (`--event-time-start`, `--event-time-end`, the end
-- not among them; else yesterday and today) and whatever other day lacks statements that the log has. A day is built whole or
-- not at all: ClickHouse forgets its log after two weeks, so a day that it has begun to forget keeps what it had.
{% set first, last = days_to_build() %}
with
    {% if is_incremental() -%}
    logged as (
        select day, count() as statements from {{ ref('stg_clickhouse__queries') }} group by day
    ),
    held as (
        select day, sum(statements) as statements from {{ this }} group by day
    ),
    due as (
        select logged.day as day
        from logged
        left join held on held.day = logged.day
        where held.day is null
            or (
                logged.day > (select min(day) from logged)
                and (held.statements != logged.statements or (logged.day >= {{ first }} and logged.day < {{ last }}))
            )
    ),
    {%- endif %}
    queries as (
        select * from {{ ref('stg_clickhouse__queries') }}
        {% if is_incremental() %}where day in (select day from due){% endif %}
    )
select
    day,
    app,
    job,
    model,
    user_name,
    count() as statements,
    countIf(is_failed) as failed_statements,
    sum(milliseconds) as milliseconds,
    sum(read_rows) as rows_read,
    sum(read_bytes) as bytes_read,
    sum(written_rows) as rows_written,
    max(memory_bytes) as peak_memory_bytes,
    {{ loaded_at() }} as _loaded_at
from queries
group by day, app, job, model, user_name
