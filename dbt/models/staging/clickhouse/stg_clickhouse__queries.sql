{{ config(tags=['daily']) }}
-- Statements that ended, well or not. Dagster says in `log_comment` which run asked, dbt in the comment before each
-- statement, with the model or test (`model.millrace.fct_orders`) that it is of.
select
    toDate32(event_date) as day,
    query_id,
    cast(user as String) as user_name,
    cast(query_kind as String) as kind,
    multiIf(
        position(query, '"app": "dbt"') = 5, 'dbt',
        JSONExtractString(log_comment, 'app') != '', JSONExtractString(log_comment, 'app'),
        'other'
    ) as app,
    if(
        position(query, '"app": "dbt"') = 5,
        extract(query, '"job": "([^"]+)'), JSONExtractString(log_comment, 'job')
    ) as job,
    if(
        position(query, '"app": "dbt"') = 5,
        extract(query, '"run": "([^"]+)'), JSONExtractString(log_comment, 'run')
    ) as run_id,
    if(position(query, '"app": "dbt"') = 5, extract(query, '"node": "(?:model|test)\\.[^.]+\\.([^."]+)'), '') as model,
    type != 'QueryFinish' as is_failed,
    query_duration_ms as milliseconds,
    read_rows,
    read_bytes,
    written_rows,
    memory_usage as memory_bytes
from {{ source('clickhouse', 'query_log') }}
where type != 'QueryStart' and is_initial_query
