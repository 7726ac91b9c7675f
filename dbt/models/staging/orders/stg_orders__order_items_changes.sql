-- Every version of every key, tombstones too: what the windows of the incremental marts are read from.
select
    order_id,
    _batch
from {{ source('raw_orders', 'order_items') }}
