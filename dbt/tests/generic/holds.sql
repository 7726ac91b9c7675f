{#- An identity that every row must satisfy; a NULL outcome is a violation too. -#}
{% test holds(model, identity) %}
select * from {{ model }} where not ifNull({{ identity }}, false)
{% endtest %}
