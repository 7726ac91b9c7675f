"""Queries over metrics, written by `python -m metrics` from dbt/metrics.yml: change that, not this."""

from typing import Final

REVENUE_BY_DAY: Final = """
SELECT
    toDate32(mart.day) AS day,
    sum(mart.orders) AS orders,
    sum(mart.cancelled_orders) AS cancelled_orders,
    sum(mart.units) AS units,
    sum(mart.gross_revenue) AS gross_revenue,
    sum(mart.refunds) AS refunds,
    sum(mart.net_revenue) AS net_revenue,
    sum(mart.refunds_issued) AS refunds_issued
FROM rpt_revenue_daily AS mart
WHERE mart.currency = {currency:String}
    AND toDate32(mart.day) BETWEEN {first:Date32} AND {last:Date32}
GROUP BY toDate32(mart.day)
ORDER BY toDate32(mart.day)
"""

CUSTOMERS: Final = """
SELECT
    count() AS known_customers,
    countIf(NOT mart.is_deleted) AS registered_customers,
    countIf(mart.is_deleted) AS deleted_customers,
    countIf(mart.orders > 0) AS buying_customers,
    countIf(mart.is_repeat) AS repeat_customers,
    countIf(ifNull(mart.has_marketing_consent, FALSE)) AS consenting_customers
FROM dim_customers AS mart
"""
