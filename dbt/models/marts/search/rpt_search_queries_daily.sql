{{ config(materialized='table', order_by='(day, normalized_query)') }}
-- The words of each day, for finding what customers want and do not get.
select
    toDate32(searched_at) as day,
    normalized_query,
    count() as searches,
    uniqExact(session_id) as sessions,
    max(results) as results,
    countIf(is_zero_result) as zero_results,
    countIf(clicks > 0) as searches_with_clicks,
    searches_with_clicks / searches as click_through_rate,
    {{ loaded_at() }} as _loaded_at
from {{ ref('fct_searches') }}
where page = 1
group by day, normalized_query
