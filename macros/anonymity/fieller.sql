{#- One bound of Fieller's interval for the ratio of two independent normal estimates (Fieller 1954): the roots r of
    (x - r*n)^2 = z^2 (sigma_x^2 + r^2 sigma_n^2). `side` is `-` or `+`. NULL where n is not significantly positive. -#}
{% macro fieller_bound(side, x, sigma_x, n, sigma_n, z=1.959964) -%}
    case when {{ n }} > {{ z }} * {{ sigma_n }} then
        (
            {{ x }} * {{ n }} {{ side }} {{ z }} * sqrt(
                {{ n }} * {{ n }} * {{ sigma_x }} * {{ sigma_x }}
                + {{ x }} * {{ x }} * {{ sigma_n }} * {{ sigma_n }}
                - {{ z }} * {{ z }} * {{ sigma_x }} * {{ sigma_x }} * {{ sigma_n }} * {{ sigma_n }}
            )
        ) / ({{ n }} * {{ n }} - {{ z }} * {{ z }} * {{ sigma_n }} * {{ sigma_n }})
    end
{%- endmacro %}

{#- The widest that a ratio between 0 and 1 over `n` can be, half of its 95 % interval: public figures only. -#}
{% macro ratio_half_width(sigma_x, n, sigma_n, z=1.959964) -%}
    {{ z }} * sqrt({{ sigma_x }} * {{ sigma_x }} + {{ sigma_n }} * {{ sigma_n }}) / nullif(greatest({{ n }}, 0), 0)
{%- endmacro %}
