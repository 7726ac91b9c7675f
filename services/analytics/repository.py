"""The questions to the marts and the clickstream, as SQL. Which orders are a sale, what is revenue: the marts say so.

Marts are named without their database, which is the connection's. What is a metric is asked by the metric's own query.
"""

from typing import Final

from services.analytics import metric_queries

BUILT: Final = {
    "rpt_revenue_daily": "SELECT max(_loaded_at), count() FROM rpt_revenue_daily",
    "dim_products": "SELECT max(_loaded_at), count() FROM dim_products",
    "dim_customers": "SELECT max(_loaded_at), count() FROM dim_customers",
    "events": "SELECT max(received_at), count() FROM raw_clickstream.events",
}
"""When each was last built (the newest event's arrival for the clickstream), and whether it has any row.

The dimensions are built anew after the facts in every run, so theirs is the time of an answer that needs both."""

REVENUE: Final = metric_queries.REVENUE_BY_DAY
CUSTOMERS: Final = metric_queries.CUSTOMERS

_TOP_PRODUCTS = """
SELECT
    toString(items.product_id) AS product_id, any(products.sku), any(products.product_name),
    sum(items.quantity) AS units, uniqExact(items.order_id) AS orders, sum(items.line_total) AS amount
FROM fct_order_items AS items
INNER JOIN fct_orders AS orders ON orders.order_id = items.order_id
LEFT JOIN dim_products AS products ON products.product_id = items.product_id
WHERE orders.is_sale AND items.currency = {currency:String}
    AND toDate32(items.placed_at) BETWEEN {first:Date32} AND {last:Date32}
    AND toDate32(orders.placed_at) BETWEEN {first:Date32} AND {last:Date32}
GROUP BY items.product_id
"""
TOP_PRODUCTS: Final = {
    "units": _TOP_PRODUCTS + "ORDER BY units DESC, amount DESC, product_id LIMIT {limit:UInt32}",
    "amount": _TOP_PRODUCTS + "ORDER BY amount DESC, units DESC, product_id LIMIT {limit:UInt32}",
}

FUNNEL: Final = """
SELECT reached, count() FROM (
    SELECT windowFunnel({within:UInt64})(
        toUInt64(toUnixTimestamp64Milli(at)), type = 'product_view', type = 'cart_add', type = 'order_placed'
    ) AS reached
    FROM raw_clickstream.events FINAL
    WHERE source = 'clickstream' AND toDate32(at) BETWEEN {first:Date32} AND {last:Date32}
    GROUP BY session
)
GROUP BY reached
"""
"""How many sessions came how far: view, then cart, then order, within so many milliseconds of the view."""

COHORTS: Final = """
SELECT
    toDate32(toStartOfMonth(customers.first_order_at)) AS cohort,
    dateDiff('month', toStartOfMonth(customers.first_order_at), toStartOfMonth(orders.placed_at)) AS month,
    uniqExact(customers.customer_id)
FROM dim_customers AS customers
INNER JOIN fct_orders AS orders ON orders.customer_id = customers.customer_id
WHERE orders.is_sale AND isNotNull(customers.first_order_at)
    AND toDate32(toStartOfMonth(customers.first_order_at)) BETWEEN {first:Date32} AND {last:Date32}
GROUP BY cohort, month
"""
