{#- The i-th element of a list, counted from 1. -#}
{% macro element(values, position) -%}
    {{ return(adapter.dispatch('element', 'quorum')(values, position)) }}
{%- endmacro %}

{% macro duckdb__element(values, position) -%}
    {{ values }}[{{ position }}]
{%- endmacro %}

{#- Aggregate: the distinct values in order. -#}
{% macro sorted_set(value) -%}
    {{ return(adapter.dispatch('sorted_set', 'quorum')(value)) }}
{%- endmacro %}

{% macro duckdb__sorted_set(value) -%}
    list(distinct {{ value }} order by {{ value }})
{%- endmacro %}

{#- Aggregate: a list of structs, one per row that meets the condition; empty where none does. -#}
{% macro list_of_structs(fields, condition) -%}
    {{ return(adapter.dispatch('list_of_structs', 'quorum')(fields, condition)) }}
{%- endmacro %}

{% macro duckdb__list_of_structs(fields, condition) -%}
    {%- set packed = struct_of(fields) -%}
    coalesce(list({{ packed }} order by {{ packed }}) filter (where {{ condition }}), [])
{%- endmacro %}

{#- A row for each whole number from 1 to the limit. Select expression. -#}
{% macro each_number_to(limit) -%}
    {{ return(adapter.dispatch('each_number_to', 'quorum')(limit)) }}
{%- endmacro %}

{% macro duckdb__each_number_to(limit) -%}
    unnest(range(1, {{ limit }} + 1))
{%- endmacro %}

{% macro list_length(values) -%}
    {{ return(adapter.dispatch('list_length', 'quorum')(values)) }}
{%- endmacro %}

{% macro duckdb__list_length(values) -%}
    len({{ values }})
{%- endmacro %}

{#- In a select list: a row per element, none for an empty list. -#}
{% macro unnested(values) -%}
    {{ return(adapter.dispatch('unnested', 'quorum')(values)) }}
{%- endmacro %}

{% macro duckdb__unnested(values) -%}
    unnest({{ values }})
{%- endmacro %}

{#- Aggregate: the texts in order, as one text. -#}
{% macro sorted_text(value) -%}
    {{ return(adapter.dispatch('sorted_text', 'quorum')(value)) }}
{%- endmacro %}

{% macro duckdb__sorted_text(value) -%}
    string_agg({{ value }}, ';' order by {{ value }})
{%- endmacro %}

{#- Aggregate: the value, not NULL, that stands first by an order without ties. -#}
{% macro first_by(value, position) -%}
    {{ return(adapter.dispatch('first_by', 'quorum')(value, position)) }}
{%- endmacro %}

{% macro duckdb__first_by(value, position) -%}
    arg_min({{ value }}, {{ position }})
{%- endmacro %}

{#- Aggregate: the value, not NULL, that stands last. -#}
{% macro last_by(value, position) -%}
    {{ return(adapter.dispatch('last_by', 'quorum')(value, position)) }}
{%- endmacro %}

{% macro duckdb__last_by(value, position) -%}
    arg_max({{ value }}, {{ position }})
{%- endmacro %}

{#- A struct of these fields. -#}
{% macro struct_of(fields) -%}
    {{ return(adapter.dispatch('struct_of', 'quorum')(fields)) }}
{%- endmacro %}

{% macro duckdb__struct_of(fields) -%}
    {%- set members = [] -%}
    {%- for name, value in fields.items() -%}
        {%- do members.append(name ~ ' := ' ~ value) -%}
    {%- endfor -%}
    struct_pack({{ members | join(', ') }})
{%- endmacro %}

{#- Aggregate: all values in order. -#}
{% macro sorted_list(value) -%}
    {{ return(adapter.dispatch('sorted_list', 'quorum')(value)) }}
{%- endmacro %}

{% macro duckdb__sorted_list(value) -%}
    {#- an order by within the aggregate takes several times as long -#}
    list_sort(list({{ value }}))
{%- endmacro %}

{#- Two lists as one. -#}
{% macro joined_lists(first, second) -%}
    {{ return(adapter.dispatch('joined_lists', 'quorum')(first, second)) }}
{%- endmacro %}

{% macro duckdb__joined_lists(first, second) -%}
    list_concat({{ first }}, {{ second }})
{%- endmacro %}
