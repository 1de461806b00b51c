{#- The columns together name at most one row, and none of them is NULL; but in those of `nullable` NULL is a value too. -#}
{% test unique_key(model, columns, nullable=[]) %}
    select {{ columns | join(', ') }}
    from {{ model }}
    group by {{ columns | join(', ') }}
    having count(*) > 1
    {%- for column in columns if column not in nullable %} or {{ column }} is null
    {%- endfor %}
{% endtest %}
