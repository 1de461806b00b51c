{#- Names of the members of an object and of objects in it, `<prefix><key>`, from one parse; `containers` maps the JSON
    path of each to its prefix. Of an object with more keys than the limit, no more than that. -#}
{% macro json_keys_below(json, containers, limit) -%}
    {{ return(adapter.dispatch('json_keys_below', 'quorum')(json, containers, limit)) }}
{%- endmacro %}

{% macro duckdb__json_keys_below(json, containers, limit) -%}
    flatten(list_transform(
        list_zip(
            try(json_keys({{ json }}, [{% for path in containers %}'{{ path }}'{{ ', ' if not loop.last }}{% endfor %}])),
            [{% for prefix in containers.values() %}'{{ prefix }}'{{ ', ' if not loop.last }}{% endfor %}]
        ),
        lambda each: list_transform(coalesce(each[1], [])[:{{ limit }}], lambda key: each[2] || key)
    ))
{%- endmacro %}
