{#- Who asks, as JSON before each statement in system.query_log: dbt's call, the model or test, and the run of Dagster that
    called. Not in the profile's `log_comment`: another profile has dbt parse the whole project anew. -#}
{% macro query_comment(node) -%}
    {%- set told = {'app': 'dbt', 'invocation': invocation_id} -%}
    {%- if node is not none -%}{%- do told.update(node=node.unique_id) -%}{%- endif -%}
    {%- for name in ('job', 'run') if env_var('MILLRACE_ASKED_BY_' ~ name | upper, '') -%}
        {%- do told.update({name: env_var('MILLRACE_ASKED_BY_' ~ name | upper)}) -%}
    {%- endfor -%}
    {{ return(tojson(told)) }}
{%- endmacro %}
