{#- The outcome of every test of this run, kept beside the marts: ops_quality shows them over time, from the next run on. -#}
{% macro keep_test_results(results) -%}
    {%- if execute -%}
        {%- set tests = results | selectattr('node.resource_type', 'equalto', 'test') | list -%}
        {%- if tests %}
    insert into {{ target.schema }}.mart_test_results (run, at, test, status, found, seconds) values
            {%- for each in tests %}
        ('{{ invocation_id }}', {{ loaded_at() }}, '{{ each.node.name }}', '{{ each.status }}', {{ each.failures or 0 }}, {{ each.execution_time }}){{ ',' if not loop.last }}
            {%- endfor -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
