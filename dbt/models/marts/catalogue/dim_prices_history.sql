{{ config(materialized='table', order_by='(product_id, valid_from)') }}
-- Every price that a product had, and from when to when (docs/decisions.md: a period).
select
    product_id,
    cast(assumeNotNull(amount) as Decimal(18, 2)) as price,
    cast(assumeNotNull(currency) as String) as currency,
    cast(compare_at as Nullable(Decimal(18, 2))) as compare_at,
    valid_from,
    valid_to,
    is_current,
    {{ loaded_at() }} as _loaded_at
from ({{ periods('stg_products__prices__history', 'product_id', ['amount', 'currency', 'compare_at']) }})
