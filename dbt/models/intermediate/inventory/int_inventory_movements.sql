-- One row per movement with what it does to the three figures of its stock row: the whole logic of fct_inventory_movements.
select
    stock_movement_id,
    product_id,
    kind,
    order_id,
    reason,
    toInt64(quantity) as quantity,
    multiIf(
        kind in ('received', 'adjusted', 'released', 'expired', 'returned'), toInt64(quantity),
        kind = 'reserved', -toInt64(quantity),
        0
    ) as to_available,
    multiIf(kind = 'reserved', toInt64(quantity), kind in ('released', 'expired', 'committed'), -toInt64(quantity), 0) as to_reserved,
    multiIf(kind = 'committed', toInt64(quantity), kind = 'returned', -toInt64(quantity), 0) as to_sold,
    moved_at
from {{ ref('stg_products__stock_movements') }}
