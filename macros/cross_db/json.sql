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

{#- A text as JSON writes it. -#}
{% macro json_text(text) -%}
    {{ return(adapter.dispatch('json_text', 'quorum')(text)) }}
{%- endmacro %}

{% macro duckdb__json_text(text) -%}
    cast(to_json({{ text }}) as varchar)
{%- endmacro %}

{#- All that a row of a relation says, as one text. -#}
{% macro row_text(relation) -%}
    {{ return(adapter.dispatch('row_text', 'quorum')(relation)) }}
{%- endmacro %}

{% macro duckdb__row_text(relation) -%}
    cast(to_json({{ relation }}) as varchar)
{%- endmacro %}

{#- Whether a text is a JSON object or list; NULL for NULL. -#}
{% macro is_object_or_list(text) -%}
    {{ return(adapter.dispatch('is_object_or_list', 'quorum')(text)) }}
{%- endmacro %}

{% macro duckdb__is_object_or_list(text) -%}
    case when left(ltrim({{ text }}), 1) in ('{', '[') then json_valid({{ text }}) else false end
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

{#- Rules for `allow_listed_json` from those of the policy: each with the way to its value. A name of several words with
    dots between them is looked for as it stands, and then as nested objects. A name that JSONPath would read as a pattern
    or as the end of a name finds nothing. -#}
{% macro property_rules(rules) -%}
    {{ return(adapter.dispatch('property_rules', 'quorum')(rules)) }}
{%- endmacro %}

{% macro duckdb__property_rules(rules) -%}
    {%- set steps = mapped("string_split(rule.property, '.')", 'step', "'$.\"' || step || '\"'") -%}
    {{ mapped(
        filtered(rules, 'rule', "regexp_full_match(rule.property, '[^*\"\\\\]+')"),
        'rule',
        "struct_pack(written := " ~ json_text('rule.property') ~ ", decision := rule.class || ' ' || rule.action, words := rule.words, "
        ~ "path := '$.\"' || rule.property || '\"', steps := case when rule.property like '%.%' then " ~ steps ~ " end)"
    ) }}
{%- endmacro %}

{#- The value that a rule speaks of, as text. What lies on the way may be JSON as a text, or encoded otherwise. -#}
{% macro property_value(json, rule) -%}
    {{ return(adapter.dispatch('property_value', 'quorum')(json, rule)) }}
{%- endmacro %}

{% macro duckdb__property_value(json, rule) -%}
    {%- set whole = 'try(json_extract_string(' ~ json ~ ', ' ~ rule ~ '.path))' -%}
    case
        when {{ rule }}.steps is null then {{ whole }}
        else coalesce({{ whole }}, {{ folded(
            rule ~ '.steps', json, 'inner_json', 'step', 'try(json_extract_string(' ~ decoded('inner_json') ~ ', step))'
        ) }})
    end
{%- endmacro %}

{#- The value of an object's own property as text; NULL where it has none, and for a name that JSONPath would read as a pattern. -#}
{% macro json_property(json, property) -%}
    {{ return(adapter.dispatch('json_property', 'quorum')(json, property)) }}
{%- endmacro %}

{% macro duckdb__json_property(json, property) -%}
    case
        when regexp_full_match({{ property }}, '[^*"\\]+') then try(json_extract_string({{ json }}, '$."' || {{ property }} || '"'))
    end
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
