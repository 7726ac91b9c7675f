{{ config(
    materialized='incremental',
    incremental_strategy='insert_overwrite',
    on_schema_change='fail',
    partition_by='toYYYYMM(placed_at)',
    order_by='(placed_at, order_id)',
    indexes=held_keys(order_feeds()),
    pre_hook="{{ open_window('int_orders', order_feeds(), 'placed_at') }}",
    post_hook=["{{ drop_emptied_partitions('placed_at') }}", "{{ close_window() }}"],
) }}
-- depends_on: {{ ref('stg_millrace__batch_watermark') }}
-- depends_on: {{ ref('stg_orders__orders') }}
-- depends_on: {{ ref('stg_orders__orders_changes') }}
-- depends_on: {{ ref('stg_orders__order_items_changes') }}
-- depends_on: {{ ref('stg_payments__payments_changes') }}
select *, {{ loaded_at() }} as _loaded_at
from {{ ref('int_orders') }}
{% if is_incremental() %}where {{ of_touched_partitions('placed_at', 'order_id', 'stg_orders__orders') }}{% endif %}
