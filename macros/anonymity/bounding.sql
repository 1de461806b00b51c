{#- What one user may add to each of the cells that it touches, in units of 1/value_scale: whole while it touches
    no more than max_cells, then scaled down so that the squares still add up to max_cells. -#}
{% macro bounded_weight(value_scale, max_cells, cells) -%}
    case
        when {{ cells }} <= {{ max_cells }} then {{ value_scale }}
        else cast(floor({{ value_scale }} * sqrt({{ max_cells }} / cast({{ cells }} as double))) as bigint)
    end
{%- endmacro %}

{#- A contributor's total, weighed as if it had at most tenant_cap users. Integers throughout: an overflow is an
    error, and the bytes repeat. -#}
{% macro tenant_balanced(total, users, tenant_cap) -%}
    cast({{ integer_division(tenant_cap ~ ' * (' ~ total ~ ')', 'greatest(' ~ users ~ ', ' ~ tenant_cap ~ ')') }} as bigint)
{%- endmacro %}
