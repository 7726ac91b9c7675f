{#- The first day to be built and the day after the last, as SQL: those that the call names, or yesterday and today. -#}
{% macro days_to_build() -%}
    {%- set begin, end = invocation_args_dict.get('event_time_start'), invocation_args_dict.get('event_time_end') -%}
    {%- if begin and end -%}
        {{ return(("toDate32('" ~ (begin | string)[:10] ~ "')", "toDate32('" ~ (end | string)[:10] ~ "')")) }}
    {%- endif -%}
    {%- set today = "toDate32(" ~ loaded_at() ~ ")" -%}
    {{ return(("addDays(" ~ today ~ ", -1)", "addDays(" ~ today ~ ", 1)")) }}
{%- endmacro %}
