{{ config(materialized='table', order_by='(searched_at, query_id)') }}
-- One row per search that somebody meant; the next page of the same question is a row of its own with its page.
select
    query_id,
    session_id,
    customer_id,
    query,
    normalized_query,
    page,
    results,
    cast(results = 0 as Bool) as is_zero_result,
    toUInt64(clicks) as clicks,
    first_position as first_click_position,
    ifNull(1 / first_position, 0) as reciprocal_rank,
    is_refined,
    searched_at,
    {{ loaded_at() }} as _loaded_at
from {{ ref('int_searches') }}
