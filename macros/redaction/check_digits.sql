{#- Whether a text of digits has the check digits of one kind of number. SQL expressions, boolean. -#}

{#- Payment cards, ISO/IEC 7812: every second digit from the right counts twice, less nine where that has two digits. -#}
{% macro luhn(digits) -%}
    {%- set digit = digit_at(digits, 'length(' ~ digits ~ ') + 1 - place') -%}
    (list_sum({{ mapped('range(1, length(' ~ digits ~ ') + 1)', 'place',
        'case when place % 2 = 1 then ' ~ digit ~ ' else ' ~ digit ~ ' * 2 - case when ' ~ digit ~ ' > 4 then 9 else 0 end end') }}) % 10 = 0)
{%- endmacro %}

{#- IBAN, ISO 13616: the first four behind the rest, letters as numbers from ten, leave one over 97. Each country has a length;
    what follows the number in the text is no part of it. -#}
{% macro is_iban(found) -%}
    {%- set plain = 'upper(' ~ replaced(found, '[ .-]', '') ~ ')' -%}
    {{ named('left(' ~ plain ~ ', ' ~ iban_length('left(' ~ plain ~ ', 2)') ~ ')', 'iban',
        "coalesce(length(iban) = " ~ iban_length('left(iban, 2)') ~ " and " ~ remainder_97("substr(iban, 5) || left(iban, 4)") ~ " = 1, false)") }}
{%- endmacro %}

{% macro iban_shape() -%}
    (?i)\b[A-Z]{2} ?[0-9]{2}(?:[ .-]?[A-Z0-9]{4}){2,7}(?:[ .-]?[A-Z0-9]{1,3})?\b
{%- endmacro %}

{% macro iban_length(country) -%}
    case {{ country }}
        {%- for length, countries in {
            15: 'NO', 16: 'BE', 18: 'DK FI FK FO GL NL SD', 19: 'MK SI', 20: 'AT BA EE KZ LT LU MN XK', 21: 'CH HR LI LV',
            22: 'BG BH CR DE GB GE IE ME RS VA', 23: 'AE GI IL IQ OM SO TL', 24: 'AD CZ ES MD PK RO SA SE SK TN VG',
            25: 'LY PT ST', 26: 'IS TR', 27: 'BI DJ FR GR IT MC MR SM', 28: 'AL AZ BY CY DO GT HN HU LB NI PL SV',
            29: 'BR EG PS QA UA', 30: 'JO KW MU YE', 31: 'MT SC', 32: 'LC', 33: 'RU',
        }.items() %}
        {%- for country in countries.split() %}
        when '{{ country }}' then {{ length }}
        {%- endfor %}
        {%- endfor %}
    end
{%- endmacro %}

{#- What a long number of digits and letters leaves over 97, digit by digit. -#}
{% macro remainder_97(text) -%}
    {{ folded(
        mapped("string_split(" ~ text ~ ", '')", 'sign', "case when sign between '0' and '9' then ord(sign) - 48 else ord(sign) - 55 end"),
        '0', 'remainder', 'number', '(remainder * case when number > 9 then 100 else 10 end + number) % 97'
    ) }}
{%- endmacro %}

{#- Poland: a date of birth whose month tells the century, and a weighted sum. -#}
{% macro is_pesel(digits) -%}
    ({{ matches(digits, '^[0-9]{2}(?:[02468][1-9]|[13579][0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{5}$') }}
        and ({{ weighted_sum(digits, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]) }}) % 10 = 0)
{%- endmacro %}

{#- Brazil: two check digits; eleven equal ones fit and are none. -#}
{% macro is_cpf(digits) -%}
    ({{ digits }} <> repeat(left({{ digits }}, 1), 11)
        and ({{ weighted_sum(digits, [10, 9, 8, 7, 6, 5, 4, 3, 2]) }}) * 10 % 11 % 10 = {{ digit_at(digits, 10) }}
        and ({{ weighted_sum(digits, [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) }}) * 10 % 11 % 10 = {{ digit_at(digits, 11) }})
{%- endmacro %}

{#- Germany, ISO 7064 MOD 11,10: of the first ten digits one comes twice or three times. -#}
{% macro is_steuer_id(digits) -%}
    {%- set first_ten = "string_split(left(" ~ digits ~ ", 10), '')" -%}
    {%- set product = folded(
        mapped(first_ten, 'sign', 'ord(sign) - 48'), '10', 'product', 'number',
        'case when (product + number) % 10 = 0 then 10 else (product + number) % 10 end * 2 % 11'
    ) -%}
    (left({{ digits }}, 1) <> '0'
        and list_unique({{ first_ten }}) in (8, 9)
        and (11 - {{ product }}) % 10 = {{ digit_at(digits, 11) }})
{%- endmacro %}

{#- Belgium: a date of birth, and what the first nine leave over 97; since 2000 with a two before them. -#}
{% macro is_belgian_id(digits) -%}
    ({{ matches(digits, '^[0-9]{2}(?:0[0-9]|1[0-2])(?:[0-2][0-9]|3[01])') }}
        and cast(right({{ digits }}, 2) as integer) in (
            97 - cast(left({{ digits }}, 9) as bigint) % 97, 97 - cast('2' || left({{ digits }}, 9) as bigint) % 97
        ))
{%- endmacro %}

{#- Spain, DNI and NIE: the letter is what the number leaves over 23. -#}
{% macro is_spanish_id(found) -%}
    {{ named("translate(upper(" ~ replaced(found, '[ .-]', '') ~ "), 'XYZ', '012')", 'number',
        "case when " ~ matches('number', '^[0-9]{8}') ~ " then "
        ~ "substr('TRWAGMYFPDXBNJZSQVHLCKE', cast(left(number, 8) as integer) % 23 + 1, 1) = right(upper(" ~ found ~ "), 1) else false end") }}
{%- endmacro %}

{% macro spanish_id_shape() -%}
    (?i)\b(?:[XYZ][ -]?[0-9]|[0-9]{2})\.?[0-9]{3}\.?[0-9]{3}[ -]?[A-Z]\b
{%- endmacro %}

{#- France, NIR: sex, year, month, place, order, and what these leave over 97. Corsica has a letter in it. -#}
{% macro is_french_id(found) -%}
    {{ named(replaced(replaced(replaced('upper(' ~ found ~ ')', '[ .-]', ''), '2A', '19'), '2B', '18'), 'number',
        "case when length(number) = 15 then 97 - cast(left(number, 13) as bigint) % 97 = cast(right(number, 2) as integer) else " ~ matches(found, '[ .-]') ~ " end") }}
{%- endmacro %}

{% macro french_id_shape() -%}
    (?i)\b[12][ .-]?[0-9]{2}[ .-]?(?:0[1-9]|[1-9][0-9])[ .-]?(?:[0-9]{2}|2[AB])[ .-]?[0-9]{3}[ .-]?[0-9]{3}(?:[ .-]?[0-9]{2})?\b
{%- endmacro %}

{% macro weighted_sum(digits, weights) -%}
    {%- for weight in weights -%}
        {{ digit_at(digits, loop.index) }} * {{ weight }}{{ ' + ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{% macro digit_at(digits, place) -%}
    (ord(substr({{ digits }}, cast({{ place }} as integer), 1)) - 48)
{%- endmacro %}
