{#- Coarse forms of fields that would single a person out. Each gives NULL for what it does not know. -#}

{#- An ISO 3166-1 code, or nothing. -#}
{% macro country_code(country) -%}
    {%- set codes = 'A[DEFGILMOQRSTUWXZ]|B[ABDEFGHIJLMNOQRSTVWYZ]|C[ACDFGHIKLMNORUVWXYZ]|D[EJKMOZ]|E[CEGHRST]|F[IJKMOR]'
        ~ '|G[ABDEFGHILMNPQRSTUWY]|H[KMNRTU]|I[DELMNOQRST]|J[EMOP]|K[EGHIMNPRWYZ]|L[ABCIKRSTUVY]|M[ACDEFGHKLMNOPQRSTUVWXYZ]'
        ~ '|N[ACEFGILOPRUZ]|OM|P[AEFGHKLMNRSTWY]|QA|R[EOSUW]|S[ABCDEGHIJKLMNORSTVXYZ]|T[CDFGHJKLMNORTVWZ]|U[AGMSYZ]'
        ~ '|V[ACEGINU]|W[FS]|XK|Y[ET]|Z[AMW]' -%}
    case when {{ matches(country, '^(?:' ~ codes ~ ')$') }} then {{ country }} end
{%- endmacro %}

{#- A word that the vocabulary lists, else `otherwise`. -#}
{% macro listed_word(value, words, otherwise='null') -%}
    case when {{ in_words(value, words) }} then {{ value }} else {{ otherwise }} end
{%- endmacro %}

{#- A latitude or a longitude to the whole degree, as text: a strip of 111 km, and a cell of it holds a region. A tenth of
    one would hold a village. -#}
{% macro whole_degrees(coordinate) -%}
    {{ named(finite_number(coordinate), 'degrees', "case when abs(degrees) <= 180 then cast(cast(round(degrees) as integer) as varchar) end") }}
{%- endmacro %}

{#- A number to two significant digits, to one decimal at the most: 1234.5 is 1200, and 9.87 is 9.9. Double. -#}
{% macro two_digits(number) -%}
    {%- set unit = "power(10, floor(log10(abs(" ~ number ~ "))) - 1)" -%}
    case
        when abs({{ number }}) < 10 then round({{ number }}, 1)
        else round({{ number }} / {{ unit }}) * {{ unit }}
    end
{%- endmacro %}

{#- The same for a bigint, as bigint. -#}
{% macro two_digits_of_integer(number) -%}
    {{ named('cast(' ~ number ~ ' as double)', 'number', 'cast(' ~ two_digits('number') ~ ' as bigint)') }}
{%- endmacro %}

{#- The same for a text, as a text that JSON calls a number. -#}
{% macro two_digits_of_text(text) -%}
    {{ named(
        named(finite_number(text), 'number', two_digits('number')), 'rounded',
        "case when rounded = trunc(rounded) then cast(cast(rounded as bigint) as varchar) else cast(cast(rounded as decimal(3, 1)) as varchar) end"
    ) }}
{%- endmacro %}

{#- The forms of an instant, for `redact`: as it is, its hour, its day. -#}
{% macro instant_forms(instant) -%}
    {{ return({
        'keep': instant,
        'coarsen': truncated_instant(instant, 'hour'),
        'generalise': truncated_instant(instant, 'day'),
    }) }}
{%- endmacro %}

{#- The forms of a whole number, for `redact`. -#}
{% macro number_forms(number) -%}
    {{ return({'keep': number, 'coarsen': two_digits_of_integer(number)}) }}
{%- endmacro %}
