{#- Rows of a mart that differ from the view that holds its logic: missing, surplus or unlike in any column. Keys that
    changed at or above the mart's watermark, on either side, are not its fault yet; the next run has them. Rows are compared as tuples:
    a hash over columns is NULL as soon as one of them is. -#}
{% macro differing_rows(mart, rows, key, feeds) %}
{%- set columns = [] -%}
{%- if execute -%}
    {%- for column in adapter.get_columns_in_relation(ref(rows)) %}{% do columns.append(column.name) %}{% endfor -%}
{%- endif -%}
with (select argMax(batch, at) from {{ target.schema }}.mart_watermarks where mart = '{{ mart }}') as processed
select {{ key | join(', ') }}, groupArray(_found_in) as found_in
from (
    select *, ({{ is_changed(feeds, 'processed') }}) as is_due
    from (
        select {{ columns | join(', ') }}, 'mart' as _found_in from {{ ref(mart) }}
        union all
        select {{ columns | join(', ') }}, 'staging' as _found_in from {{ ref(rows) }}
    )
)
group by {{ key | join(', ') }}
having max(is_due) = 0
    and (uniqExact(_found_in) < 2 or count() != 2 or uniqExact(tuple({{ columns | join(', ') }})) != 1)
{% endmacro %}
