{#- A telephone number as a token, and the country calling code where the number says one; NULL for what is none.
    All spellings of an international number give one token. -#}
{% macro phone_token(phone) -%}
    {{ named(plain_phone(phone), 'number', tokenise('number', 'phone') ~ " || coalesce(':' || " ~ calling_code_of_plain('number') ~ ", '')") }}
{%- endmacro %}

{#- The country calling code with its plus; NULL where the number says none. -#}
{% macro calling_code(phone) -%}
    {{ named(plain_phone(phone), 'number', calling_code_of_plain('number')) }}
{%- endmacro %}

{#- Digits, with a plus before an international number: `0049 (0)151-2345` is `+491512345`. -#}
{% macro plain_phone(phone) -%}
    {{ named(
        replaced(replaced(normalised(phone), '^tel:|[(]0[)]|[[:space:]().·/\\x{a0}\\x{2010}-\\x{2015}\\x{202f}-]', ''), '^00', '+'),
        'plain',
        "case when " ~ matches('plain', '^([+][1-9])?[0-9]{6,14}$') ~ " then plain end"
    ) }}
{%- endmacro %}

{#- The codes that the ITU gave to countries (E.164) are free of prefixes, so a pattern finds the one. -#}
{% macro calling_code_of_plain(number) -%}
    nullif({{ first_match(number, '^([+](?:1|7|20|27|2[1-689][0-9]|3[0-469]|3[578][0-9]|4[013-9]|42[0-9]|5[1-8]|5[09][0-9]|6[0-6]|6[7-9][0-9]|8[1246]|8[035789][0-9]|9[0-58]|9[679][0-9]))') }}, '')
{%- endmacro %}
