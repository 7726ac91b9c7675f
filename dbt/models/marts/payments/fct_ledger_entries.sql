{{ config(
    materialized='incremental',
    incremental_strategy='insert_overwrite',
    on_schema_change='fail',
    partition_by='toYYYYMM(transferred_at)',
    order_by='(transferred_at, transfer_id, side)',
    indexes=held_keys(ledger_entry_feeds()),
    pre_hook="{{ open_window('int_ledger_entries', ledger_entry_feeds(), 'transferred_at') }}",
    post_hook=["{{ drop_emptied_partitions('transferred_at') }}", "{{ close_window() }}"],
) }}
-- depends_on: {{ ref('stg_millrace__batch_watermark') }}
-- depends_on: {{ ref('stg_payments__transfers_changes') }}
select *, {{ loaded_at() }} as _loaded_at
from {{ ref('int_ledger_entries') }}
{% if is_incremental() %}where {{ in_touched_partitions('transferred_at') }}{% endif %}
