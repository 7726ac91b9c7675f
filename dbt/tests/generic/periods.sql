{#- Periods of a key neither overlap nor are empty, one at most lasts, and between two lies only time in which the row was gone. -#}
{% test periods(model, key, log) %}
with
    ends as (select {{ key }}, became_at from {{ log }} where is_end),
    followed as (
        select
            {{ key }}, valid_from, valid_to,
            leadInFrame(toNullable(valid_from)) over (
                partition by {{ key }} order by valid_from rows between unbounded preceding and unbounded following) as next_from
        from {{ model }}
    )
select * from followed
where ifNull(valid_to <= valid_from, false)
    or ifNull(next_from < ifNull(valid_to, next_from + interval 1 second), false)
    or ifNull(next_from > valid_to, false)
        and ({{ key }}, valid_to) not in (select {{ key }}, toNullable(became_at) from ends)
{% endtest %}
