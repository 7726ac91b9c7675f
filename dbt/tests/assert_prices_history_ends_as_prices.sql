{{ config(meta={'dagster': {'ref': {'name': 'dim_prices_history'}}}) }}
-- What is current in the history is what the copy has, and nothing else. Prices that changed since the history was built are left out.
with
    built as (select max(_loaded_at) - interval {{ var('settle_seconds') }} second as at from {{ ref('dim_prices_history') }}),
    history as (select product_id, price, currency, compare_at, valid_from from {{ ref('dim_prices_history') }} where is_current),
    prices as (select product_id, amount, currency, compare_at, _ingested_at from {{ ref('stg_products__prices') }}),
    gone as (select product_id from {{ ref('stg_products__prices__history') }} where is_end and became_at >= (select at from built))
select coalesce(history.product_id, prices.product_id) as product_id, history.price, prices.amount
from history
full outer join prices on prices.product_id = history.product_id
where ifNull(prices._ingested_at < (select at from built), coalesce(history.product_id, prices.product_id) not in (select product_id from gone))
    and not ifNull(
        toDecimal64(prices.amount, 2) = history.price and prices.currency = history.currency
        and ifNull(prices.compare_at, 0) = ifNull(history.compare_at, 0), false)
