{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'rpt_settlement_reconciliation'}}}) }}
-- A finding is for a person to look at, the report is right: so it warns (docs/runbooks/payment-reconciliation.md).
select * from {{ ref('rpt_settlement_reconciliation') }}
where finding != 'matched' and oldest_change_at < _loaded_at - interval {{ var('settle_seconds') }} second
