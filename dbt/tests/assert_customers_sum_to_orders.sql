{{ config(meta={'dagster': {'ref': {'name': 'dim_customers'}}}) }}
-- Conservation: customers' money and sales sum to those of the orders.
with
    customers as (select sum(orders) as orders, sum(gross_revenue) as gross, sum(refunds) as refunds from {{ ref('dim_customers') }}),
    facts as (
        select
            countIf(is_sale) as orders,
            sumIf(gross_revenue, currency = '{{ var("shop_currency") }}') as gross,
            sumIf(refunds, currency = '{{ var("shop_currency") }}') as refunds
        from {{ ref('fct_orders') }}
    )
select customers.*, facts.*
from customers cross join facts
where (customers.orders, customers.gross, customers.refunds) != (facts.orders, facts.gross, facts.refunds)
