{{ config(materialized='table', order_by='(check_name, checked_at)') }}
-- Every outcome of every check over time: of dbt's tests, from the runs before this one, and of the engine's proofs.
select
    'test' as kind,
    toString(test) as check_name,
    at as checked_at,
    cast(status = 'pass' as Bool) as is_passed,
    cast(status = 'error' as Bool) as is_undecided,
    found,
    {{ loaded_at() }} as _loaded_at
from {{ target.schema }}.mart_test_results
where status in ('pass', 'fail', 'warn', 'error')
union all
select
    'proof' as kind,
    concat(source, '.', table_name) as check_name,
    proven_at as checked_at,
    cast(differing = 0 as Bool) as is_passed,
    false as is_undecided,
    differing as found,
    {{ loaded_at() }} as _loaded_at
from {{ ref('stg_millrace__proofs') }}
