{{ config(materialized='table', order_by='customer_id') }}
-- Everybody who registered or ordered. A customer who was erased keeps a row as long as an order names them. No name, no
-- address, no e-mail: whoever needs those asks the users service.
with
    users as (select * from {{ ref('stg_users__users') }} where erased_at is null),
    placed as (
        select
            customer_id,
            minIf(placed_at, is_sale) as first_order_at,
            maxIf(placed_at, is_sale) as last_order_at,
            countIf(is_sale) as orders,
            countIf(is_sale and status = 'CANCELLED') as cancelled_orders,
            countIf(is_sale and currency != '{{ var("shop_currency") }}') as orders_in_other_currencies,
            sumIf(gross_revenue, currency = '{{ var("shop_currency") }}') as gross_revenue,
            sumIf(refunds, currency = '{{ var("shop_currency") }}') as refunds
        from {{ ref('fct_orders') }}
        group by customer_id
    )
select
    assumeNotNull(coalesce(users.user_id, placed.customer_id)) as customer_id,
    users.country as country,
    users.has_marketing_consent as has_marketing_consent,
    users.created_at as registered_at,
    cast(isNull(users.user_id) as Bool) as is_deleted,
    if(placed.orders > 0, placed.first_order_at, null) as first_order_at,
    if(placed.orders > 0, placed.last_order_at, null) as last_order_at,
    toUInt64(ifNull(placed.orders, 0)) as orders,
    toUInt64(ifNull(placed.cancelled_orders, 0)) as cancelled_orders,
    toUInt64(ifNull(placed.orders_in_other_currencies, 0)) as orders_in_other_currencies,
    cast(ifNull(placed.orders, 0) > 1 as Bool) as is_repeat,
    {{ as_total('placed.gross_revenue') }} as gross_revenue,
    {{ as_total('placed.refunds') }} as refunds,
    cast(gross_revenue - refunds as Decimal(38, 2)) as net_revenue,
    {{ loaded_at() }} as _loaded_at
from users
full outer join placed on placed.customer_id = users.user_id
