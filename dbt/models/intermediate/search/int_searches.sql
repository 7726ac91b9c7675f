-- One row per intent: of the searches that somebody types one after the other, each the beginning of the next within
-- ten seconds, the last; and any search whose results were clicked. Told by the search service.
with
    searches as (
        select
            *,
            lowerUTF8(trimBoth(replaceRegexpAll(query, '\\s+', ' '))) as normalized_query,
            toUInt32OrZero(JSONExtractString(rest, 'filters', 'page')) as told_page
        from {{ ref('stg_clickstream__events') }}
        where source = 'search' and type = 'search'
    ),
    clicks as (
        select query_id, count() as clicks, min(position) as first_position
        from {{ ref('stg_clickstream__events') }}
        where source = 'search' and type = 'click'
        group by query_id
    ),
    followed as (
        select
            searches.*,
            ifNull(clicks.clicks, 0) as clicks,
            clicks.first_position as first_position,
            leadInFrame(searches.normalized_query, 1, '') over later as next_query,
            leadInFrame(searches.happened_at, 1) over later as next_at
        from searches
        left join clicks on clicks.query_id = searches.query_id
        window later as (
            partition by if(searches.session_id = '', toString(searches.event_id), searches.session_id)
            order by searches.happened_at, searches.event_id rows between unbounded preceding and unbounded following
        )
    )
select
    query_id,
    session_id,
    customer_id,
    query,
    normalized_query,
    greatest(told_page, toUInt32(1)) as page,
    toUInt64(ifNull(results, 0)) as results,
    clicks,
    first_position,
    cast(clicks = 0 and next_query not in ('', normalized_query) and dateDiff('second', happened_at, next_at) <= 60 as Bool) as is_refined,
    happened_at as searched_at
from followed
where not (
    clicks = 0 and next_query != normalized_query and next_query != '' and startsWith(next_query, normalized_query)
    and dateDiff('millisecond', happened_at, next_at) <= 10000
)
settings join_use_nulls = 1  -- the view means this, whoever reads it with whatever settings
