{#- Shares, and how sure they are: Wilson's score interval at 95 % (Wilson 1927), which stays inside 0 and 1 and holds for few trials. -#}

{% macro rate(successes, trials) -%}
    cast(case when ({{ trials }}) > 0 then cast({{ successes }} as double) / ({{ trials }}) end as decimal(9, 6))
{%- endmacro %}

{% macro wilson_low(successes, trials) -%}
    {{ wilson_bound('-', successes, trials) }}
{%- endmacro %}

{% macro wilson_high(successes, trials) -%}
    {{ wilson_bound('+', successes, trials) }}
{%- endmacro %}

{% macro wilson_bound(side, successes, trials) -%}
    {%- set z = 1.959963984540054 -%}
    {%- set n = 'cast(' ~ trials ~ ' as double)' -%}
    {%- set x = 'cast(' ~ successes ~ ' as double)' -%}
    cast(case
        when ({{ trials }}) > 0 then greatest(0, least(1, (
            {{ x }} + {{ z * z / 2 }} {{ side }} {{ z }} * sqrt({{ x }} * ({{ n }} - {{ x }}) / {{ n }} + {{ z * z / 4 }})
        ) / ({{ n }} + {{ z * z }})))
    end as decimal(9, 6))
{%- endmacro %}

{#- `not_enough_data` where a sample is too small to say anything, else `ok`. -#}
{% macro sample_state(trials) -%}
    case when ({{ trials }}) >= 20 then 'ok' else 'not_enough_data' end
{%- endmacro %}
