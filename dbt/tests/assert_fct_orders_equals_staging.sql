{{ config(meta={'dagster': {'ref': {'name': 'fct_orders'}}}) }}
-- Every order that did not change since the mart's watermark is in the mart exactly as staging has it, and nothing else.
{{ differing_rows('fct_orders', 'int_orders', ['order_id'], order_feeds()) }}
