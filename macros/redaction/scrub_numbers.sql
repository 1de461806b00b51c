{#- Numbers that name a person: cards, national ids, telephones. Numbers stand beside other numbers, so each run of them is
    looked at group by group, and marked whole if any of its parts is one. -#}
{% macro marked_numbers(text) -%}
    {{ return(adapter.dispatch('marked_numbers', 'quorum')(text)) }}
{%- endmacro %}

{% macro duckdb__marked_numbers(text) -%}
    {#- a date ends a run: it is no part of a number, and its digits would make many -#}
    {%- set dates = '\\b(?:19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]\\b|\\b[0-3]?[0-9][./-][01]?[0-9][./-](?:19|20)[0-9]{2}\\b' -%}
    {%- set runs = all_matches(replaced('whole', dates, '|'), '(?:[+]|\\b)[0-9](?:[ ()./-]{0,3}[0-9]){6,}\\b') -%}
    {%- set kind = named(windows_of_groups('run'), 'windows', mark_of_windows('windows')) -%}
    {%- set marked = folded(
        longest_first(runs), 'whole', 'rest', 'run', "replace(rest, run, coalesce(" ~ kind ~ ", run))"
    ) -%}
    {{ named(text, 'whole', "case when " ~ matches('whole', '[0-9](?:[ ()./-]{0,3}[0-9]){6}') ~ " then " ~ marked ~ " else whole end") }}
{%- endmacro %}

{#- All that adjacent groups of digits make together, a space between groups: `12`, `12 34`, `34`. Only the whole of what is
    too long for a number. -#}
{% macro windows_of_groups(run) -%}
    {%- set groups = all_matches(run, '[+]?[0-9]+') -%}
    {{ named(groups, 'digit_groups', "case when length(" ~ replaced(run, '[^0-9]', '') ~ ") > 19 then ['long'] else "
        ~ filtered("flatten(" ~ mapped('range(1, len(digit_groups) + 1)', 'first_group', mapped(
            'range(first_group, len(digit_groups) + 1)', 'last_group', "array_to_string(digit_groups[first_group:last_group], ' ')"
        )) ~ ")", 'digit_window', 'length(digit_window) between 9 and 40') ~ " end") }}
{%- endmacro %}

{#- The mark of the windows; of several the first in the alphabet: a card before an id before a telephone. NULL for none. -#}
{% macro mark_of_windows(windows) -%}
    list_min({{ mapped(windows, 'digit_window', named(
        replaced('digit_window', '[^0-9]', ''), 'digits', kind_of_number('digit_window', 'digits')
    )) }})
{%- endmacro %}

{% macro kind_of_number(spaced, digits) -%}
    case
        when {{ spaced }} = 'long' then '[number]'
        when length({{ digits }}) >= 13 and {{ matches(digits, '^(?:4|5[1-5]|2[2-7]|3[0-9]|6)') }} and {{ luhn(digits) }} then '[card]'
        when length({{ digits }}) = 11 and {{ is_id_of_eleven(digits) }} then '[id]'
        when {{ matches(spaced, '^(?:[0-9]{2})?[0-9]{2}[01][0-9][0-9]{2} [0-9]{4}$') }} and {{ luhn('right(' ~ digits ~ ', 10)') }} then '[id]'
        -- social security numbers have no check digit, but parts that are never zero
        when {{ matches(spaced, '^[0-8][0-9]{2} [0-9]{2} [0-9]{4}$') }}
            and not {{ matches(spaced, '^(?:000|666)| 00 | 0000$') }} then '[id]'
        when {{ is_phone(spaced) }} then '[phone]'
    end
{%- endmacro %}

{#- Long to make ready, and few numbers come to it: in a list of one. -#}
{% macro is_id_of_eleven(digits) -%}
    {{ named(digits, 'eleven', [is_pesel('eleven'), is_cpf('eleven'), is_steuer_id('eleven'), is_belgian_id('eleven')] | join(' or ')) }}
{%- endmacro %}

{#- International, or national with a zero before it, or as North America, Spain, Poland and Italy group theirs. -#}
{% macro is_phone(spaced) -%}
    (
        {{ matches("replace(" ~ spaced ~ ", ' ', '')", '^(?:[+]|00)[1-9][0-9]{6,14}$') }}
        or {{ matches(spaced, '^0[1-9]') }} and {{ matches("replace(" ~ spaced ~ ", ' ', '')", '^0[1-9][0-9]{7,10}$') }}
        or {{ matches(spaced, '^(?:1 )?[2-9][0-9]{2} [0-9]{3} [0-9]{4}$|^[2-9][0-9]{2}[2-9][0-9]{6}$|^3[0-9]{9}$') }}
        or {{ matches(spaced, '^[4-9][0-9]{2} [0-9]{3} [0-9]{3}$|^[4-9][0-9]{2} [0-9]{2} [0-9]{2} [0-9]{2}$|^[4-9][0-9]{8}$') }}
        or {{ matches(spaced, '^[1-9][0-9] [0-9]{3} [0-9]{2} [0-9]{2}$') }}
    )
{%- endmacro %}
