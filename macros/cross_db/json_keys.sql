{#- Lists of the keys of some objects of a JSON text, one for each path, from one parse: equal for texts that look alike. -#}
{% macro json_key_lists(json, paths) -%}
    {{ return(adapter.dispatch('json_key_lists', 'quorum')(json, paths)) }}
{%- endmacro %}

{% macro duckdb__json_key_lists(json, paths) -%}
    try(json_keys({{ json }}, [{% for path in paths %}'{{ path }}'{{ ', ' if not loop.last }}{% endfor %}]))
{%- endmacro %}

{#- All of these keys as one list, each behind its list's prefix; of a list no more than the limit. -#}
{% macro prefixed_keys(key_lists, prefixes, limit) -%}
    {{ return(adapter.dispatch('prefixed_keys', 'quorum')(key_lists, prefixes, limit)) }}
{%- endmacro %}

{% macro duckdb__prefixed_keys(key_lists, prefixes, limit) -%}
    flatten(list_transform(
        list_zip({{ key_lists }}, [{% for prefix in prefixes %}'{{ prefix }}'{{ ', ' if not loop.last }}{% endfor %}]),
        lambda each: list_transform(coalesce(each[1], [])[:{{ limit }}], lambda key: each[2] || key)
    ))
{%- endmacro %}
