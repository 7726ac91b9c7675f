{{ config(meta={'dagster': {'ref': {'name': 'fct_order_items'}}}) }}
-- Every line whose order did not change since the mart's watermark is in the mart exactly as staging has it.
{{ differing_rows('fct_order_items', 'int_order_items', ['order_id', 'line'], order_item_feeds()) }}
