{#- How an incremental mart follows its source.

    A tombstone carries only the key, and a row may move from one partition to another, so the raw row never says which
    partitions of the mart are stale. Touched partitions are those that the mart itself holds for the changed keys,
    together with those of the keys' current rows; each is rebuilt whole (insert_overwrite), and one that came out
    empty is dropped. Changed keys are the raw rows of the batches in this run's window: at or above the last processed
    batch (less an overlap), below the batch up to which every insert is complete. Neither `_version` nor a clock
    will do: replayed rows arrive late with old versions.

    The window is fixed once, by `open_window` before the model reads, and becomes the processed watermark only after
    the model succeeded (`close_window`). A run that dies between is repeated from the old watermark; that is safe,
    because rebuilding a partition twice gives the same partition.

    A feed is {changes: model of (key, _batch) with every version and tombstone, key: its column,
               held: the column of the mart that remembers that key}.
    `time` is the column whose month is the mart's partition.

    A run reads little of what did not change. Each feed is looked up alone, as a condition of several with OR can be pushed into no
    table, and not at all where none of its keys changed; batches have an index in the raw tables, held keys one in the marts
    (`held_keys`); a mart of tables that are joined by one key names the touched keys beside the months (`of_touched_partitions`). -#}

{% macro create_own_tables() -%}
    {% if execute and flags.WHICH != 'compile' %}
        {% do run_query("create table if not exists " ~ target.schema ~ ".mart_windows"
            ~ " (mart LowCardinality(String), run_id String, batch_from UInt64, batch_below UInt64,"
            ~ " partitions Array(UInt32), opened_at DateTime64(6, 'UTC') default now64(6, 'UTC'))"
            ~ " engine = MergeTree order by (mart, run_id) ttl toDateTime(opened_at) + interval 30 day") %}
        {% do run_query("create table if not exists " ~ target.schema ~ ".mart_watermarks"
            ~ " (mart LowCardinality(String), batch UInt64, at DateTime64(6, 'UTC') default now64(6, 'UTC'))"
            ~ " engine = ReplacingMergeTree(at) order by mart") %}
        {% do run_query("create table if not exists " ~ target.schema ~ ".mart_test_results"
            ~ " (run String, at DateTime64(6, 'UTC'), test LowCardinality(String), status LowCardinality(String),"
            ~ " found UInt64, seconds Float64)"
            ~ " engine = MergeTree order by (test, at) ttl toDateTime(at) + interval 400 day") %}
    {% endif %}
{%- endmacro %}

{#- What a build that was killed left behind; only after an hour, because another build may be at work by hand. -#}
{% macro drop_orphans() -%}
    {% if execute and flags.WHICH != 'compile' %}
        {%- set orphans = run_query("select name from system.tables where database = '" ~ target.schema ~ "'"
            ~ " and position(name, '__dbt_new_data_') > 0"
            ~ " and metadata_modification_time <= now() - interval " ~ var('orphan_minutes') ~ " minute") -%}
        {% for orphan in orphans.rows %}{% do run_query("drop table if exists " ~ target.schema ~ "." ~ orphan['name']) %}{% endfor %}
    {% endif %}
{%- endmacro %}

{% macro processed_below(mart) -%}
    (select argMax(batch, at) from {{ target.schema }}.mart_watermarks where mart = '{{ mart }}')
{%- endmacro %}

{% macro changed_keys(feed, batch_from, batch_below=none) -%}
    select {{ feed.key }} from {{ ref(feed.changes) }}
    where _batch >= {{ batch_from }}{% if batch_below is not none %} and _batch < {{ batch_below }}{% endif %}
{%- endmacro %}

{% macro is_changed(feeds, batch_from) -%}
    {%- for feed in feeds %}
    {{ 'or ' if not loop.first }}ifNull({{ feed.held }} in ({{ changed_keys(feed, batch_from) }}), false)
    {%- endfor %}
{%- endmacro %}

{#- The indexes of a mart by the keys that it holds of its feeds. -#}
{% macro held_keys(feeds) -%}
    {%- set indexes = [] -%}
    {%- for held in feeds | map(attribute='held') | unique -%}
        {%- do indexes.append({'name': 'held_' ~ held, 'definition': held ~ ' type minmax granularity 1'}) -%}
    {%- endfor -%}
    {{ return(indexes) }}
{%- endmacro %}

{% macro open_window(rows, feeds, time) -%}
    insert into {{ target.schema }}.mart_windows (mart, run_id, batch_from, batch_below, partitions)
    with
        {{ processed_below(this.identifier) }} as processed,
        (select argMax(readable_below, at) from {{ ref('stg_millrace__batch_watermark') }}) as readable,
        greatest(processed, {{ var('batch_overlap') }}) - {{ var('batch_overlap') }} as lower
    select
        '{{ this.identifier }}', '{{ invocation_id }}', lower, readable,
        {% if is_incremental() -%}
        (
            select groupUniqArray(partition) from (
                {%- for feed in feeds %}{% set outer = loop %}{% for model in [this, ref(rows)] %}
                {{ 'union distinct ' if not (outer.first and loop.first) }}select toYYYYMM({{ time }}) as partition from {{ model }}
                where (select count() > 0 from ({{ changed_keys(feed, 'lower', 'readable') }}))
                    and {{ feed.held }} in ({{ changed_keys(feed, 'lower', 'readable') }})
                {%- endfor %}{% endfor %}
            )
        )
        {%- else -%}
        []
        {%- endif %}
    where throwIf(readable < processed,
        'batch numbers stepped back below the watermark of {{ this.identifier }}: rebuild it with --full-refresh') = 0
{%- endmacro %}

{% macro in_touched_partitions(time) -%}
    {%- set own = target.schema ~ ".mart_windows where mart = '" ~ this.identifier ~ "' and run_id = '" ~ invocation_id ~ "'" -%}
    (select notEmpty(groupArrayArray(partitions)) from {{ own }})
    and toYYYYMM({{ time }}) in (select arrayJoin(partitions) from {{ own }})
{%- endmacro %}

{#- The same, with the keys of those partitions: `dated` is the model that has the key and its time. -#}
{% macro of_touched_partitions(time, key, dated) -%}
    {{ in_touched_partitions(time) }}
    and {{ key }} in (select {{ key }} from {{ ref(dated) }} where {{ in_touched_partitions(time) }})
{%- endmacro %}

{#- When this run read; the same instant on every row that it wrote. -#}
{% macro loaded_at() -%}
    toDateTime64('{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S.%f") }}', 6, 'UTC')
{%- endmacro %}

{#- A touched partition that still holds rows of an earlier run was not overwritten: nothing is left of it. -#}
{% macro drop_emptied_partitions(time) -%}
    {%- if is_incremental() and execute -%}
        {%- set emptied = run_query("select distinct _partition_id as id from " ~ this ~ " where _loaded_at != " ~ loaded_at()
            ~ " and " ~ in_touched_partitions(time)) -%}
        {%- if emptied.rows -%}
    alter table {{ this }}
            {%- for row in emptied.rows %} drop partition id '{{ row['id'] }}'{{ ',' if not loop.last }}{% endfor -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro close_window() -%}
    insert into {{ target.schema }}.mart_watermarks (mart, batch)
    select mart, batch_below from {{ target.schema }}.mart_windows
    where mart = '{{ this.identifier }}' and run_id = '{{ invocation_id }}'
{%- endmacro %}
