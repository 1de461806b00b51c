{#- What a variant's users add to Pearson's chi-square against the split by weights; NULL where nobody was exposed.
    Integers up to the one division, so no order of rows changes a sum of them. -#}
{% macro chi_square_term(users, all_users, weight, all_weights) -%}
    {%- set held = 'cast(' ~ users ~ ' as decimal(18, 0)) * cast(' ~ all_weights ~ ' as decimal(18, 0))' -%}
    {%- set meant = 'cast(' ~ all_users ~ ' as decimal(18, 0)) * cast(' ~ weight ~ ' as decimal(18, 0))' -%}
    {%- set astray = 'cast(' ~ held ~ ' - ' ~ meant ~ ' as double)' -%}
    cast(case
        when {{ all_users }} > 0 then
            {{ astray }} * {{ astray }} / (cast({{ all_users }} as double) * cast({{ weight }} as double) * cast({{ all_weights }} as double))
    end as decimal(28, 10))
{%- endmacro %}

{#- The value that chi-square exceeds with probability 0.001 where nothing is wrong, by degrees of freedom. An experiment has at most
    ten variants (`quorum.tenant_rules`). -#}
{% macro chi_square_critical(degrees) -%}
    {%- set critical = [10.827566, 13.815511, 16.266236, 18.466827, 20.515006, 22.457744, 24.321886, 26.124482, 27.877165] -%}
    case {{ degrees }}
        {%- for value in critical %}
        when {{ loop.index }} then {{ value }}
        {%- endfor %}
    end
{%- endmacro %}

{#- One end of the 95 % interval of a difference of two independent rates, by Newcombe's hybrid of two Wilson intervals (Newcombe 1998,
    method 10). -#}
{% macro newcombe_low(rate, rate_low, other_rate, other_rate_high) -%}
    {{ newcombe_bound('-', rate, rate_low, other_rate, other_rate_high) }}
{%- endmacro %}

{% macro newcombe_high(rate, rate_high, other_rate, other_rate_low) -%}
    {{ newcombe_bound('+', rate, rate_high, other_rate, other_rate_low) }}
{%- endmacro %}

{% macro newcombe_bound(side, rate, rate_end, other_rate, other_rate_end) -%}
    {%- set own, other = '(' ~ rate ~ ' - ' ~ rate_end ~ ')', '(' ~ other_rate ~ ' - ' ~ other_rate_end ~ ')' -%}
    cast(
        cast({{ rate }} - {{ other_rate }} as double)
        {{ side }} sqrt(cast({{ own }} * {{ own }} + {{ other }} * {{ other }} as double))
        as decimal(9, 6)
    )
{%- endmacro %}
