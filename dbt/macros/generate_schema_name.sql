{#- Marts live in the target's database (`analytics`); the other layers in databases of their own name. A target
    database of another name (a test, a branch) takes its layers with it, so that two never share a table. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if custom_schema_name is none -%}
        {{ target.schema }}
    {%- elif target.schema == 'analytics' -%}
        {{ custom_schema_name | trim }}
    {%- else -%}
        {{ target.schema }}_{{ custom_schema_name | trim }}
    {%- endif -%}
{%- endmacro %}
