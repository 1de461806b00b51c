{#- Of whole numbers, to six places rounded down: the same on every machine, however large they are. -#}
{% macro exact_ratio(numerator, denominator) -%}
    cast(case
        when {{ denominator }} > 0
            then cast({{ integer_division('(' ~ numerator ~ ') * 1000000', denominator) }} as decimal(24, 0)) * cast(0.000001 as decimal(6, 6))
    end as decimal(18, 6))
{%- endmacro %}
