{{ config(
    materialized='incremental',
    incremental_strategy='insert_overwrite',
    on_schema_change='fail',
    partition_by='toYYYYMM(created_at)',
    order_by='(created_at, payment_id)',
    indexes=held_keys(payment_feeds()),
    pre_hook="{{ open_window('int_payments', payment_feeds(), 'created_at') }}",
    post_hook=["{{ drop_emptied_partitions('created_at') }}", "{{ close_window() }}"],
) }}
-- depends_on: {{ ref('stg_millrace__batch_watermark') }}
-- depends_on: {{ ref('stg_payments__payments_changes') }}
-- depends_on: {{ ref('stg_orders__orders_changes') }}
select *, {{ loaded_at() }} as _loaded_at
from {{ ref('int_payments') }}
{% if is_incremental() %}where {{ in_touched_partitions('created_at') }}{% endif %}
