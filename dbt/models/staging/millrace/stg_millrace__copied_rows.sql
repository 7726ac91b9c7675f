-- When each row version of every captured table was committed in PostgreSQL and inserted here, old versions and
-- tombstones too: for measuring the copy, never for counting rows.
{%- set tables = [] -%}
{%- if execute -%}
    {%- for node in graph.sources.values()
        if node.source_name not in ('raw_millrace', 'raw_clickstream', 'clickhouse') and not node.name.endswith('__history') -%}
        {%- do tables.append(node) -%}
    {%- endfor -%}
{%- endif %}
{%- for node in tables | sort(attribute='unique_id') %}
select '{{ node.source_name[4:] }}' as source, '{{ node.name }}' as table_name, _committed_at, _ingested_at
from {{ source(node.source_name, node.name) }}
{{ 'union all' if not loop.last }}
{%- endfor %}
