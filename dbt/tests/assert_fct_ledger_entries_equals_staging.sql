{{ config(meta={'dagster': {'ref': {'name': 'fct_ledger_entries'}}}) }}
-- Every entry is in the mart exactly as staging has it, and nothing else.
{{ differing_rows('fct_ledger_entries', 'int_ledger_entries', ['transfer_id', 'side'], ledger_entry_feeds()) }}
