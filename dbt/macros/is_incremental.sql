{#- What dbt means by it, but that `dbt compile` asks no server: compiled SQL is the whole of a model, and is what lineage
    is read from (lineage/compiled.py). -#}
{% macro is_incremental() -%}
    {{ return(flags.WHICH != 'compile' and dbt.is_incremental()) }}
{%- endmacro %}
