{{ config(
    materialized='incremental',
    incremental_strategy='insert_overwrite',
    on_schema_change='fail',
    partition_by='toYYYYMM(moved_at)',
    order_by='(product_id, moved_at, stock_movement_id)',
    indexes=held_keys(inventory_movement_feeds()),
    pre_hook="{{ open_window('int_inventory_movements', inventory_movement_feeds(), 'moved_at') }}",
    post_hook=["{{ drop_emptied_partitions('moved_at') }}", "{{ close_window() }}"],
) }}
-- depends_on: {{ ref('stg_millrace__batch_watermark') }}
-- depends_on: {{ ref('stg_products__stock_movements_changes') }}
select *, {{ loaded_at() }} as _loaded_at
from {{ ref('int_inventory_movements') }}
{% if is_incremental() %}where {{ in_touched_partitions('moved_at') }}{% endif %}
