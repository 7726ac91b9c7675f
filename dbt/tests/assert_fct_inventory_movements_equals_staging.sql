{{ config(meta={'dagster': {'ref': {'name': 'fct_inventory_movements'}}}) }}
-- Every movement is in the mart exactly as staging has it, and nothing else.
{{ differing_rows('fct_inventory_movements', 'int_inventory_movements', ['stock_movement_id'], inventory_movement_feeds()) }}
