{{ config(meta={'dagster': {'ref': {'name': 'rpt_settlement_reconciliation'}}}) }}
-- matched + unmatched = total: the findings' sums are the payments' sums, per day and currency, to the cent. A payment
-- that changed after the fact was built is not compared.
with
    report as (
        select day, currency, sum(payments) as payments, sum(captured) as captured, sum(refunded) as refunded
        from {{ ref('rpt_settlement_reconciliation') }}
        group by day, currency
    ),
    facts as (
        select toDate32(created_at) as day, currency, count() as payments, sum(captured) as captured, sum(refunded) as refunded
        from {{ ref('int_payments') }}
        group by day, currency
    ),
    moving as (
        select toDate32(created_at) as day, currency from {{ ref('int_payments') }}
        where updated_at >= (select max(_loaded_at) from {{ ref('rpt_settlement_reconciliation') }}) - interval {{ var('settle_seconds') }} second
    )
select day, currency, report.captured, facts.captured
from report full outer join facts using (day, currency)
where (day, currency) not in (select day, currency from moving)
    and not ifNull((report.payments, report.captured, report.refunded) = (facts.payments, facts.captured, facts.refunded), false)
