select
    event_id,
    source,
    type,
    at as happened_at,
    received_at,
    session as session_id,
    user_id as customer_id,
    product_id,
    order_id,
    query,
    query_id,
    quantity,
    position,
    total as results,
    rest
from {{ latest_rows('raw_clickstream', 'events') }}
