{#- What each incremental mart is fed by; `rows` is the view that holds its logic. -#}
{% macro order_feeds() %}
    {{ return([
        {'changes': 'stg_orders__orders_changes', 'key': 'order_id', 'held': 'order_id'},
        {'changes': 'stg_orders__order_items_changes', 'key': 'order_id', 'held': 'order_id'},
        {'changes': 'stg_payments__payments_changes', 'key': 'payment_id', 'held': 'payment_id'},
    ]) }}
{% endmacro %}

{% macro order_item_feeds() %}
    {{ return([
        {'changes': 'stg_orders__orders_changes', 'key': 'order_id', 'held': 'order_id'},
        {'changes': 'stg_orders__order_items_changes', 'key': 'order_id', 'held': 'order_id'},
    ]) }}
{% endmacro %}

{% macro payment_feeds() %}
    {{ return([
        {'changes': 'stg_payments__payments_changes', 'key': 'payment_id', 'held': 'payment_id'},
        {'changes': 'stg_orders__orders_changes', 'key': 'order_id', 'held': 'order_id'},
    ]) }}
{% endmacro %}

{#- What was pending may arrive after the transfer that posts it. -#}
{% macro ledger_entry_feeds() %}
    {{ return([
        {'changes': 'stg_payments__transfers_changes', 'key': 'transfer_id', 'held': 'transfer_id'},
        {'changes': 'stg_payments__transfers_changes', 'key': 'transfer_id', 'held': 'pending_transfer_id'},
    ]) }}
{% endmacro %}

{% macro inventory_movement_feeds() %}
    {{ return([
        {'changes': 'stg_products__stock_movements_changes', 'key': 'stock_movement_id', 'held': 'stock_movement_id'},
    ]) }}
{% endmacro %}
