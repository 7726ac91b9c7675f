{{ config(meta={'dagster': {'ref': {'name': 'dim_prices_history'}}}) }}
-- The source writes down every change of a price itself, in the same transaction: at its commit the history has what it says.
-- Only the last of several changes within one commit was ever seen.
with
    said as (
        select
            product_id, _committed_at as at,
            argMax(new_amount, price_change_id) as amount, argMax(new_currency, price_change_id) as currency
        from {{ ref('stg_products__price_changes') }}
        where not is_copied
            and _ingested_at < (select max(_loaded_at) from {{ ref('dim_prices_history') }}) - interval {{ var('settle_seconds') }} second
        group by product_id, at
    ),
    known as (select product_id, min(valid_from) as since from {{ ref('dim_prices_history') }} group by product_id),
    held as (select product_id, price, currency, valid_from, valid_to from {{ ref('dim_prices_history') }})
select said.product_id as product_id, said.at as at, any(said.amount) as amount
from said
inner join known on known.product_id = said.product_id
left join held on held.product_id = said.product_id
where said.at >= known.since
group by said.product_id, said.at
having countIf(
    held.valid_from <= said.at and ifNull(said.at < held.valid_to, true)
    and held.price = toDecimal64(said.amount, 2) and held.currency = said.currency) != 1
