{#- What a staging view of a log says of each version, beside the columns of its table.

    A version that a copy brought has no place in the source's log, so the low 56 bits of `_version` are 0: it was seen at
    `_committed_at`, but became so earlier. Its row says when itself (`updated_at`, which every service keeps). -#}
{% macro version_columns() -%}
    cast(_deleted as Bool) as is_end,
    {{ is_copied() }},
    if(is_end or not is_copied, _committed_at, least(ifNull(updated_at, _committed_at), _committed_at)) as became_at,
    _version,
    _batch
{%- endmacro %}

{#- Whether a row came by a copy of its table, not as a change. -#}
{% macro is_copied() -%}
    cast(bitAnd(_version, bitShiftLeft(toUInt128(1), 56) - 1) = 0 as Bool) as is_copied
{%- endmacro %}

{#- The periods in which the tracked columns of each key were what they were: SCD2 from the log of its table.

    `valid_from` is the commit that began a period, `valid_to` the one that ended it, NULL while it lasts; a period includes its
    beginning and not its end. A time never steps back within a key, as versions follow the commits and clocks need not; so a row that
    was copied, and shows the outcome of a change that follows it, does not stand before that change. What was
    gone again within its own commit was never seen and has no period; a change of other columns begins none. The end of a row ends
    its period, and while it is gone there is none. -#}
{% macro periods(log, key, tracked) -%}
    {%- set whole = 'partition by ' ~ key ~ ' order by _version rows between unbounded preceding and ' -%}
    select
        {{ key }},
        {{ tracked | join(', ') }},
        valid_from,
        valid_to,
        cast(isNull(valid_to) as Bool) as is_current
    from (
        select *, leadInFrame(toNullable(valid_from)) over ({{ whole }}unbounded following) as valid_to
        from (
            select *, lagInFrame(toNullable(content)) over ({{ whole }}unbounded following) as content_before
            from (
                select *, leadInFrame(toNullable(valid_from)) over ({{ whole }}unbounded following) as next_from
                from (
                    select
                        *,
                        if(is_end, '', toString(tuple({{ tracked | join(', ') }}))) as content,
                        max(became_at) over ({{ whole }}current row) as valid_from
                    from {{ ref(log) }}
                )
            )
            where isNull(next_from) or next_from > valid_from
        )
        where isNull(content_before) or content_before != content
    )
    where not is_end
{%- endmacro %}
