{{ config(materialized='table', order_by='(day, currency, finding)') }}
-- Every payment stands in exactly one finding, so the findings' sums are the payments' sums.
select
    toDate32(created_at) as day,
    currency,
    finding,
    count() as payments,
    {{ as_total('sum(owed)') }} as owed,
    {{ as_total('sum(captured)') }} as captured,
    {{ as_total('sum(refunded)') }} as refunded,
    {{ as_total('sum(ledger_captured)') }} as ledger_captured,
    {{ as_total('sum(ledger_refunded)') }} as ledger_refunded,
    min(updated_at) as oldest_change_at,
    {{ loaded_at() }} as _loaded_at
from {{ ref('int_settlement') }}
group by day, currency, finding
