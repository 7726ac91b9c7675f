{{ config(meta={'dagster': {'ref': {'name': 'customer_cohorts'}}}) }}
-- Conservation: the cohorts' sales and money are those of the orders.
with
    cohorts as (select sum(orders) as orders, sum(gross_revenue) as gross, sum(net_revenue) as net from {{ ref('customer_cohorts') }}),
    facts as (
        select
            countIf(is_sale) as orders,
            sumIf(gross_revenue, is_sale and currency = '{{ var("shop_currency") }}') as gross,
            sumIf(net_revenue, is_sale and currency = '{{ var("shop_currency") }}') as net
        from {{ ref('fct_orders') }}
    )
select cohorts.*, facts.*
from cohorts cross join facts
where (cohorts.orders, cohorts.gross, cohorts.net) != (facts.orders, facts.gross, facts.net)
