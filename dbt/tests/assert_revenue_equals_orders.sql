{{ config(meta={'dagster': {'ref': {'name': 'rpt_revenue_daily'}}}) }}
-- Conservation: the report's days sum to the orders, per currency, to the cent.
with
    days as (
        select currency, sum(orders) as orders, sum(units) as units, sum(gross_revenue) as gross, sum(refunds) as refunds, sum(net_revenue) as net
        from {{ ref('rpt_revenue_daily') }}
        group by currency
    ),
    facts as (
        select
            currency, countIf(is_sale) as orders, sumIf(units, is_sale) as units, sum(gross_revenue) as gross,
            sum(refunds) as refunds, sum(net_revenue) as net
        from {{ ref('fct_orders') }}
        group by currency
    )
select currency, days.net, facts.net
from days full outer join facts using (currency)
where not ifNull((days.orders, days.units, days.gross, days.refunds, days.net) = (facts.orders, facts.units, facts.gross, facts.refunds, facts.net), false)
