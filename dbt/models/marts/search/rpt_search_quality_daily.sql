{{ config(materialized='table', order_by='day') }}
-- How well search served each day (UTC). Rates are of the first pages; there is no rate without a search.
select
    toDate32(searched_at) as day,
    count() as searches,
    uniqExact(session_id) as sessions,
    countIf(is_zero_result) as zero_results,
    countIf(clicks > 0) as searches_with_clicks,
    countIf(first_click_position <= 5) as searches_with_clicks_in_top_5,
    countIf(is_refined) as refined,
    zero_results / searches as zero_result_rate,
    searches_with_clicks / searches as click_through_rate,
    searches_with_clicks_in_top_5 / searches as click_through_rate_top_5,
    avg(reciprocal_rank) as mean_reciprocal_rank,
    avg(first_click_position) as average_click_position,
    refined / searches as refinement_rate,
    {{ loaded_at() }} as _loaded_at
from {{ ref('fct_searches') }}
where page = 1
group by day
