{{ config(meta={'dagster': {'ref': {'name': 'fct_payments'}}}) }}
-- Every payment that did not change since the mart's watermark is in the mart exactly as staging has it, and nothing else.
{{ differing_rows('fct_payments', 'int_payments', ['payment_id'], payment_feeds()) }}
