{#- The current row of every key that still exists: the only FINAL of the project. The raw tables are
    ReplacingMergeTree(_version, _deleted), so FINAL also hides the tombstones. -#}
{% macro latest_rows(source_name, table_name) -%}
    {{ source(source_name, table_name) }} final
{%- endmacro %}
