{#- A key of several columns: no two rows share it. -#}
{% test unique_key(model, columns) %}
select {{ columns | join(', ') }}, count() as row_count
from {{ model }}
group by {{ columns | join(', ') }}
having row_count > 1
{% endtest %}
