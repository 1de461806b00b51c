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
    nfc_normalize(trim({{ value if case_matters else 'lower(' ~ value ~ ')' }}, ' ' || chr(9) || chr(10) || chr(13) || chr(160)))
{%- endmacro %}

{#- The words of a delimited text that a list knows; each other word becomes `:id`. -#}
{% macro known_segments(value, delimiter, words) -%}
    {{ return(adapter.dispatch('known_segments', 'quorum')(value, delimiter, words)) }}
{%- endmacro %}

{% macro duckdb__known_segments(value, delimiter, words) -%}
    array_to_string(list_transform(
        string_split({{ value }}, '{{ delimiter }}'),
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
