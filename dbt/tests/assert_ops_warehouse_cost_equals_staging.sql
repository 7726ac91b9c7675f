-- Days that are over and that ClickHouse's log still holds whole are the log's.
{{ config(tags=['daily'], meta={'dagster': {'ref': {'name': 'ops_warehouse_cost'}}}) }}
select day, sum(held) as held, sum(logged) as logged
from (
    select day, statements as held, 0 as logged from {{ ref('ops_warehouse_cost') }}
    union all
    select day, 0 as held, 1 as logged from {{ ref('stg_clickhouse__queries') }}
)
where day < toDate32({{ loaded_at() }})
    and day > (select min(day) from {{ ref('stg_clickhouse__queries') }})
    and day in (select day from {{ ref('ops_warehouse_cost') }})
group by day
having held != logged
