-- Every version of every key, tombstones too: what the windows of the incremental marts are read from.
select
    id as stock_movement_id,
    _batch
from {{ source('raw_products', 'stock_movements') }}
