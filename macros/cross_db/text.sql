{% macro hmac_sha256(inner_pad, outer_pad, message) -%}
    {{ return(adapter.dispatch('hmac_sha256', 'quorum')(inner_pad, outer_pad, message)) }}
{%- endmacro %}

{% macro duckdb__hmac_sha256(inner_pad, outer_pad, message) -%}
    sha256({{ outer_pad }} || unhex(sha256({{ inner_pad }} || encode({{ message }}))))
{%- endmacro %}

{#- A token carried on through a list of padded keys: of each HMAC, in hex, 32 digits are the next token. -#}
{% macro hmac_chain(token, pads) -%}
    {{ return(adapter.dispatch('hmac_chain', 'quorum')(token, pads)) }}
{%- endmacro %}

{#- The keyring comes with it, for re-keying does the same outside dbt (`quorum.hmac_sql`). -#}
{% macro duckdb__hmac_chain(token, pads) -%}
    keyring.main.hmac_chain({{ token }}, {{ pads }})
{%- endmacro %}

{% macro sha256_text(value) -%}
    {{ return(adapter.dispatch('sha256_text', 'quorum')(value)) }}
{%- endmacro %}

{% macro duckdb__sha256_text(value) -%}
    sha256({{ value }})
{%- endmacro %}

{#- One spelling for one identifier: NFC, no white space around it, and lower case where case says nothing. -#}
{% macro normalised(value, case_matters=false) -%}
    {{ return(adapter.dispatch('normalised', 'quorum')(value, case_matters)) }}
{%- endmacro %}

{% macro duckdb__normalised(value, case_matters) -%}
    {#- White space is what Unicode calls so, the zero-width space and the byte-order mark. Most identifiers are ASCII
        without any. -#}
    {%- set spaces = '[\\s\\x{b}\\x{1c}-\\x{1f}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200b}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}\\x{feff}]+' -%}
    {%- set composed = "nfc_normalize(regexp_replace(" ~ value ~ ", '^" ~ spaces ~ "|" ~ spaces ~ "$', '', 'g'))" -%}
    case
        when regexp_full_match({{ value }}, '[!-~]([ -~]*[!-~])?') then {{ value if case_matters else 'lower(' ~ value ~ ')' }}
        else {{ composed if case_matters else duckdb__folded_case(composed) }}
    end
{%- endmacro %}

{#- Composed before case is folded, for i and a dot above are no letter of their own; folded by way of upper case, for
    sigma has two lower ones; and letters that are written as two in upper case, as these two. -#}
{% macro duckdb__folded_case(composed) -%}
    {%- set one_to_one = 'lower(upper(lower(' ~ composed ~ ')))' -%}
    {%- set letters = {
        'ß': 'ss', 'ŉ': 'ʼn', 'ẚ': 'aʾ', 'և': 'եւ', 'ﬃ': 'ffi', 'ﬄ': 'ffl', 'ﬀ': 'ff', 'ﬁ': 'fi', 'ﬂ': 'fl',
        'ﬅ': 'st', 'ﬆ': 'st', 'ﬓ': 'մն', 'ﬔ': 'մե', 'ﬕ': 'մի', 'ﬖ': 'վն', 'ﬗ': 'մխ',
    } -%}
    nfc_normalize(array_to_string(list_transform(
        string_split(replace({{ one_to_one }}, 'i̇', 'i'), ''),
        lambda letter: case letter
            {%- for letter, spelling in letters.items() %} when '{{ letter }}' then '{{ spelling }}'{% endfor %} else letter end
    ), ''))
{%- endmacro %}

{#- The words of a delimited text that a list knows; each other word becomes `:id`. -#}
{% macro known_segments(value, delimiter, words) -%}
    {{ return(adapter.dispatch('known_segments', 'quorum')(value, delimiter, words)) }}
{%- endmacro %}

{% macro duckdb__known_segments(value, delimiter, words) -%}
    {#- No path has more than sixteen that say something: the rest is cut off. -#}
    array_to_string(list_transform(
        string_split({{ value }}, '{{ delimiter }}')[1:16],
        lambda segment: case when segment = '' or list_contains({{ words }}, segment) then segment else ':id' end
    ), '{{ delimiter }}')
{%- endmacro %}

{% macro in_words(value, words) -%}
    {{ return(adapter.dispatch('in_words', 'quorum')(value, words)) }}
{%- endmacro %}

{% macro duckdb__in_words(value, words) -%}
    coalesce(list_contains({{ words }}, {{ value }}), false)
{%- endmacro %}

{#- Whether a pattern is found anywhere in a text; anchor it to ask for the whole. -#}
{% macro matches(value, pattern) -%}
    {{ return(adapter.dispatch('matches', 'quorum')(value, pattern)) }}
{%- endmacro %}

{% macro duckdb__matches(value, pattern) -%}
    regexp_matches({{ value }}, '{{ pattern }}')
{%- endmacro %}

{#- Each place where a pattern is found, replaced. -#}
{% macro replaced(value, pattern, replacement) -%}
    {{ return(adapter.dispatch('replaced', 'quorum')(value, pattern, replacement)) }}
{%- endmacro %}

{% macro duckdb__replaced(value, pattern, replacement) -%}
    regexp_replace({{ value }}, '{{ pattern }}', '{{ replacement }}', 'g')
{%- endmacro %}

{#- What the first group of a pattern finds; an empty text where it finds nothing. -#}
{% macro first_match(value, pattern) -%}
    {{ return(adapter.dispatch('first_match', 'quorum')(value, pattern)) }}
{%- endmacro %}

{% macro duckdb__first_match(value, pattern) -%}
    regexp_extract({{ value }}, '{{ pattern }}', 1)
{%- endmacro %}

{#- All that a pattern finds, from left to right. -#}
{% macro all_matches(value, pattern) -%}
    {{ return(adapter.dispatch('all_matches', 'quorum')(value, pattern)) }}
{%- endmacro %}

{% macro duckdb__all_matches(value, pattern) -%}
    regexp_extract_all({{ value }}, '{{ pattern }}')
{%- endmacro %}

{#- A list of texts without repetition, the longest first. -#}
{% macro longest_first(texts) -%}
    {{ return(adapter.dispatch('longest_first', 'quorum')(texts)) }}
{%- endmacro %}

{% macro duckdb__longest_first(texts) -%}
    {#- texts of a list sort by their length, written before them in seven digits -#}
    list_transform(
        list_reverse_sort(list_transform(list_distinct({{ texts }}), lambda one_text: lpad(cast(length(one_text) as varchar), 7, '0') || one_text)),
        lambda one_text: substr(one_text, 8)
    )
{%- endmacro %}

{#- One character for those that look alike to a reader: digits of all scripts, wide letters, spaces, dashes; none for those
    that cannot be seen. -#}
{% macro plain_characters(text) -%}
    {{ return(adapter.dispatch('plain_characters', 'quorum')(text)) }}
{%- endmacro %}

{% macro duckdb__plain_characters(text) -%}
    {%- set digits = '0123456789' -%}
    case
        when {{ text }} ~ '[ -~\\s]*' then {{ text }}
        else translate(
            regexp_replace(nfc_normalize({{ text }}), '[\x{ad}\x{200b}-\x{200f}\x{202a}-\x{202e}\x{2060}-\x{2064}\x{feff}]', '', 'g'),
            '０１２３４５６７８９٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹०१२३४५६७८९＠＋．。：／（）' || {% for code in [160, 8192, 8193, 8194, 8195, 8196, 8197, 8198, 8199, 8200, 8201, 8202, 8239, 8287, 12288, 8208, 8209, 8210, 8211, 8212, 8213, 8722] %}chr({{ code }}){{ ' || ' if not loop.last }}{% endfor %},
            '{{ digits * 4 }}@+..:/()               -------'
        )
    end
{%- endmacro %}

{% macro small_integer(text, limit) -%}
    case when try_cast({{ text }} as bigint) between -{{ limit }} and {{ limit }} then try_cast({{ text }} as bigint) end
{%- endmacro %}

{#- A text without the spaces around it, NULL for none. Few texts have any, and to trim each costs as much as to parse it. -#}
{% macro text_or_null(value) -%}
    {{ return(adapter.dispatch('text_or_null', 'quorum')(value)) }}
{%- endmacro %}

{% macro duckdb__text_or_null(value) -%}
    nullif(case when starts_with({{ value }}, ' ') or ends_with({{ value }}, ' ') then trim({{ value }}) else {{ value }} end, '')
{%- endmacro %}
