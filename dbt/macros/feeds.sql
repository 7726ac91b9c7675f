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
