{#- Amount per unit as money, rounded half away from zero; NULL when there is nothing to divide by. Decimal division
    truncates to the scale of its left side, so four more digits are carried through it. -#}
{% macro money_per(amount, units) -%}
    if({{ units }} = 0, null, cast(round(cast({{ amount }} as Decimal(38, 6)) / nullIf({{ units }}, 0), 2) as Nullable(Decimal(18, 2))))
{%- endmacro %}

{% macro as_money(expression) -%}
    cast(ifNull({{ expression }}, 0) as Decimal(18, 2))
{%- endmacro %}

{% macro as_total(expression) -%}
    cast(ifNull({{ expression }}, 0) as Decimal(38, 2))
{%- endmacro %}
