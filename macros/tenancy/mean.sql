{#- So many to each. Both are whole numbers, so that the figure is the same in whatever order they were summed. -#}
{% macro mean(total, count) -%}
    cast(case when {{ count }} > 0 then cast({{ total }} as double) / {{ count }} end as decimal(18, 6))
{%- endmacro %}
