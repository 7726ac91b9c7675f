"""What each metric must be over the rows of these tests, asked of staging by queries that share nothing with the metrics.

Rows are (required dimensions..., value). A ratio that is not here is the quotient of its two parts' answers.
"""

from typing import Final

SALES = "(select * from {db}_staging.stg_orders__orders where status in ('CONFIRMED', 'CANCELLED')) as sales"
PAYMENTS = "{db}_staging.stg_payments__payments"
PAID = f"{SALES} inner join {PAYMENTS} as paid on paid.order_id = sales.order_id"
USERS = "(select * from {db}_staging.stg_users__users where erased_at is null)"
EVENTS = "{db}_staging.stg_clickstream__events"
VISITS = f"{EVENTS} where source = 'clickstream'"
SEARCHES = f"{EVENTS} where source = 'search' and type = 'search'"
MOVES = "{db}_staging.stg_products__stock_movements"
CONVERTED = f"select session_id from {VISITS} and order_id in (select order_id from {SALES})"
BUILT = "(select max(_loaded_at) from {db}.customer_cohorts)"
MONTHS = (
    "(select customer_id as buyer, min(placed_at) as first_at, "
    f"arrayJoin(range(toUInt32(1 + dateDiff('month', min(placed_at), {BUILT})))) as n from {SALES} group by customer_id) as months"
)
BY_MONTH = f"{MONTHS} inner join {SALES} on sales.customer_id = months.buyer"
LATENCY = "{db}.ops_cdc_latency"
"""Not staging: merges take old versions away there, and the mart counted them."""
AGE = "dateDiff('month', first_at, placed_at)"

ANSWERS: Final = {
    "orders": f"select count() from {SALES}",
    "cancelled_orders": f"select countIf(status = 'CANCELLED') from {SALES}",
    "units": "select sum(quantity) from {db}_staging.stg_orders__order_items where order_id in "
    f"(select order_id from {SALES})",
    "gross_revenue": f"select currency, sum(total) from {SALES} group by currency",
    "refunds": f"select sales.currency, sum(paid.refunded) from {PAID} group by sales.currency",
    "net_revenue": f"select sales.currency, sum(sales.total - paid.refunded) from {PAID} group by sales.currency",
    "refunds_issued": "select currency, sum(given.amount) from {db}_staging.stg_payments__refunds as given "
    f"inner join {PAYMENTS} as paid on paid.payment_id = given.payment_id group by currency",
    "discounts": f"select currency, sum(discount) from {SALES} group by currency",
    "tax": f"select currency, sum(tax) from {SALES} group by currency",
    "shipping": f"select currency, sum(shipping) from {SALES} group by currency",
    "average_order_value": f"select currency, round(toFloat64(sum(total)) / count(), 2) from {SALES} group by currency",
    "refund_rate": f"select sales.currency, toFloat64(sum(paid.refunded)) / toFloat64(sum(sales.total)) from {PAID} "
    "group by sales.currency",
    "known_customers": "select uniqExact(id) from (select user_id as id from {db}_staging.stg_users__users "
    "union all select customer_id as id from {db}_staging.stg_orders__orders)",
    "registered_customers": f"select count() from {USERS}",
    "deleted_customers": "select uniqExact(customer_id) from {db}_staging.stg_orders__orders where customer_id not in "
    f"(select user_id from {USERS})",
    "buying_customers": f"select uniqExact(customer_id) from {SALES}",
    "repeat_customers": f"select count() from (select customer_id from {SALES} group by customer_id having count() > 1)",
    "consenting_customers": f"select countIf(has_marketing_consent) from {USERS}",
    "cohort_customers": f"select n, count() from {MONTHS} group by n",
    "active_customers": f"select n, uniqExact(buyer) from {BY_MONTH} where {AGE} = n group by n",
    "lifetime_value": f"select n, sum(total - paid.refunded) from {BY_MONTH} inner join {PAYMENTS} as paid "
    f"on paid.order_id = sales.order_id where {AGE} <= n and sales.currency = 'EUR' group by n",
    "visits": f"select uniqExact(session_id) from {VISITS}",
    "converted_visits": f"select uniqExact(session_id) from ({CONVERTED})",
    "visits_with_cart": f"select uniqExact(session_id) from {VISITS} and type = 'cart_add'",
    "abandoned_carts": f"select uniqExact(session_id) from {VISITS} and type = 'cart_add' and session_id not in ({CONVERTED})",
    "visitors": f"select uniqExact(customer_id) from {VISITS}",
    "searches": f"select count() from {SEARCHES}",
    "zero_result_searches": f"select countIf(results = 0) from {SEARCHES}",
    "clicked_searches": f"select count() from {SEARCHES} and query_id in (select query_id from {EVENTS} where type = 'click')",
    "refined_searches": "select 0",
    "reciprocal_ranks": f"select sum(1 / position) from {EVENTS} where type = 'click'",
    "product_days": f"select sum(days) from (select 1 + dateDiff('day', min(moved_at), {BUILT}) as days from {MOVES} "
    "group by product_id)",
    "stock_outs": f"select count() from (select product_id from {MOVES} group by product_id having sum(quantity) <= 0)",
    "units_received": f"select sumIf(quantity, kind = 'received') from {MOVES}",
    "units_committed": f"select sumIf(quantity, kind = 'committed') from {MOVES}",
    "units_returned": f"select sumIf(quantity, kind = 'returned') from {MOVES}",
    "payments": f"select count() from {PAYMENTS}",
    "settled_payments": f"select count() from {PAYMENTS} as paid left join (select payment_id, sum(amount) as given from "
    "{db}_staging.stg_payments__refunds group by payment_id) as back on back.payment_id = paid.payment_id "
    f"where refunded = ifNull(given, 0) and (refunded = amount or order_id in (select order_id from {SALES}))",
    "captured": f"select currency, sum(amount) from {PAYMENTS} group by currency",
    "tried_payments": f"select count() from {PAYMENTS}",
    "declined_payments": f"select countIf(status = 'DECLINED') from {PAYMENTS}",
    "funnel_visits": "select step, uniqExact(session_id) from (select session_id, arrayJoin(if(type in ('product_view', "
    f"'cart_add', 'order_placed'), ['visit', type], ['visit'])) as step from {VISITS}) group by step",
    "moved_units": f"select kind, sum(quantity) from {MOVES} group by kind",
    "rated_customers": f"select snapshot, uniqExact(customer_id) from {SALES} cross join (select distinct snapshot_date "
    "as snapshot from {db}.customer_rfm) as snapshots where toDate32(placed_at) <= snapshot group by snapshot",
    "searches_by_words": f"select count() from {SEARCHES}",
    "zero_results_by_words": f"select countIf(results = 0) from {SEARCHES}",
    "clicked_searches_by_words": f"select count() from {SEARCHES} and query_id in (select query_id from {EVENTS} "
    "where type = 'click')",
    "copied_changes": f"select arraySum(groupArray(rows)) from {LATENCY}",
    "worst_p99_seconds": f"select arrayMax(groupArray(p99_seconds)) from {LATENCY}",
    "slowest_seconds": f"select arrayMax(groupArray(max_seconds)) from {LATENCY}",
}
