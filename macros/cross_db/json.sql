{#- Reading JSON, the one thing that no two engines spell alike. -#}

{% macro json_strings(json, paths) -%}
    {{ return(adapter.dispatch('json_strings', 'quorum')(json, paths)) }}
{%- endmacro %}

{% macro duckdb__json_strings(json, paths) -%}
    {#- One parse for all paths. A line that is no JSON gives NULL, not an error that would echo it. -#}
    try(json_extract_string({{ json }}, [{% for path in paths %}'{{ path }}'{{ ', ' if not loop.last }}{% endfor %}]))
{%- endmacro %}

{#- The text where it is a JSON object, in one spelling; else NULL. -#}
{% macro json_object(text) -%}
    case when left({{ text }}, 1) = '{' then {{ element(json_strings(text, ['$']), 1) }} end
{%- endmacro %}

{#- The first item of what may be a JSON list; what is none stays as it is. -#}
{% macro first_item(text) -%}
    case when left({{ text }}, 1) = '[' then {{ element(json_strings(text, ['$[0]']), 1) }} else {{ text }} end
{%- endmacro %}

{#- A JSON list of {key, value: {string_value, int_value, ...}} as an object, its keys in order. -#}
{% macro json_from_records(records) -%}
    {{ return(adapter.dispatch('json_from_records', 'quorum')(records)) }}
{%- endmacro %}

{% macro duckdb__json_from_records(records) -%}
    {%- set types = ['string_value', 'int_value', 'float_value', 'double_value'] -%}
    '{' || array_to_string(list_sort(list_transform(
        try(json_extract({{ records }}, '$[*]')),
        lambda record: to_json(json_extract_string(record, '$.key')) || ':' || to_json(coalesce(
            {%- for type in types %}json_extract_string(record, '$.value.{{ type }}'){{ ', ' if not loop.last }}{% endfor %}
        ))
    )), ',') || '}'
{%- endmacro %}

{% macro allow_listed_json(json, rules) -%}
    {{ return(adapter.dispatch('allow_listed_json', 'quorum')(json, rules)) }}
{%- endmacro %}

{% macro duckdb__allow_listed_json(json, rules) -%}
    {#- What comes out is a boolean, a small whole number or a word of the vocabulary: never text of the input. -#}
    {%- set value = "try(json_extract_string(" ~ json ~ ", '$.\"' || rule.property || '\"'))" -%}
    '{' || array_to_string(list_filter(list_transform({{ rules }}, lambda rule:
        '"' || rule.property || '":' || case rule.class
            when 'flag' then cast(try_cast({{ value }} as boolean) as varchar)
            when 'quantity' then cast({{ small_integer(value, 999999) }} as varchar)
            when 'label' then case when list_contains(rule.words, {{ value }}) then '"' || {{ value }} || '"' end
        end
    ), lambda pair: pair is not null), ',') || '}'
{%- endmacro %}

{#- An object's own keys and the types of their values, in the engine's words: equal for rows that look alike. Never
    json_structure, which overflows the stack of the process where an object is deep enough. -#}
{% macro json_shape(json) -%}
    {{ return(adapter.dispatch('json_shape', 'quorum')(json)) }}
{%- endmacro %}

{% macro duckdb__json_shape(json) -%}
    case when json_valid({{ json }}) then list_zip(json_keys({{ json }}), json_type({{ json }}, '$.*')) end
{%- endmacro %}

{% macro json_members(shape) -%}
    {{ return(adapter.dispatch('json_members', 'quorum')(shape)) }}
{%- endmacro %}

{% macro duckdb__json_members(shape) -%}
    list_transform({{ shape }}, lambda member: struct_pack(
        property := member[1],
        json_type := case
            when member[2] = 'VARCHAR' then 'string'
            when member[2] in ('BOOLEAN', 'OBJECT', 'ARRAY', 'NULL') then lower(member[2])
            else 'number'
        end
    ))
{%- endmacro %}

{% macro breaks_rules(members, rules) -%}
    {{ return(adapter.dispatch('breaks_rules', 'quorum')(members, rules)) }}
{%- endmacro %}

{% macro duckdb__breaks_rules(members, rules) -%}
    {%- set found = "list_filter(" ~ members ~ ", lambda member: member.property = rule.property)[1].json_type" -%}
    len(list_filter({{ rules }}, lambda rule:
        case coalesce({{ found }}, 'null') when 'null' then rule.required else {{ found }} <> rule.json_type end
    )) > 0
{%- endmacro %}
