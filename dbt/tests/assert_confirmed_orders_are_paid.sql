-- What was captured is what the order costs; a payment may still be on its way through its own topic.
select order_id, total, captured
from {{ ref('fct_orders') }}
where status = 'CONFIRMED'
    and total != captured
    and updated_at < _loaded_at - interval {{ var('settle_seconds') }} second
