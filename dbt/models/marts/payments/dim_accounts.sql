{{ config(materialized='table', order_by='account_id') }}
-- The chart of accounts with its balances, by the service's own columns; fct_ledger_entries sums to them.
select
    account_id,
    currency,
    code,
    name as account_name,
    {{ as_total('debits_posted - credits_posted') }} as balance,
    {{ as_total('debits_pending - credits_pending') }} as pending,
    {{ loaded_at() }} as _loaded_at
from {{ ref('stg_payments__accounts') }}
