{#- Texts within texts: percent signs, base64, JSON. -#}

{#- A text without up to three layers of encoding; NULL where there is one more, or one cannot be read. -#}
{% macro decoded(text) -%}
    {%- set stripped = folded("['1', '2', '3']", text, 'inner_text', 'layer', decoded_once('inner_text')) -%}
    case
        when {{ may_be_encoded(text) }}
            then {{ named(stripped, 'plain', 'case when ' ~ decoded_once('plain') ~ ' = plain then plain end') }}
        else {{ text }}
    end
{%- endmacro %}

{#- A cheap look that spares most texts the dear one: base64 of a text has a capital or a digit in it, most words have none. -#}
{% macro may_be_encoded(text) -%}
    (
        {{ matches(text, '%[0-9A-Fa-f]{2}|\\\\u[0-9A-Fa-f]{4}|^\\s*["{[]') }}
        or {{ matches(text, '^[A-Za-z0-9+/_=\\r\\n-]{8,}$') }} and {{ matches(text, '[A-Z0-9]') }}
    )
{%- endmacro %}

{#- A text without one layer of encoding; the same where there is none, NULL where one cannot be read. -#}
{% macro decoded_once(text) -%}
    {{ return(adapter.dispatch('decoded_once', 'quorum')(text)) }}
{%- endmacro %}

{% macro duckdb__decoded_once(text) -%}
    case
        when regexp_matches({{ text }}, '^\s*["{[]') and json_valid({{ text }}) then json_extract_string({{ text }}, '$')
        when regexp_matches({{ text }}, '%[0-9A-Fa-f]{2}') then try(url_decode({{ text }}))
        when regexp_matches({{ text }}, '\\u[0-9A-Fa-f]{4}') then try(json_extract_string('"' || {{ text }} || '"', '$'))
        when regexp_matches({{ text }}, '^[A-Za-z0-9+/_=\r\n-]{8,}$') then coalesce({{ base64_text(text) }}, {{ text }})
        else {{ text }}
    end
{%- endmacro %}

{#- What a base64 text says, of either alphabet, padded or not; NULL where that is no printable text: most words can be
    read as base64. -#}
{% macro base64_text(text) -%}
    {{ return(adapter.dispatch('base64_text', 'quorum')(text)) }}
{%- endmacro %}

{% macro duckdb__base64_text(text) -%}
    {%- set plain = "rtrim(translate(" ~ text ~ ", '-_' || chr(10) || chr(13), '+/'), '=')" -%}
    {{ named(
        "try(decode(from_base64(rpad(" ~ plain ~ ", cast((len(" ~ plain ~ ") + 3) // 4 * 4 as integer), '='))))", 'said',
        "case when " ~ duckdb__is_printable('said') ~ " then said end"
    ) }}
{%- endmacro %}

{#- Three letters or digits after nothing but ASCII, and no sign that cannot be seen. All letters of Unicode make a pattern
    that takes milliseconds to make ready: it stands in a list of one, and few that are no text come to it. -#}
{% macro duckdb__is_printable(said) -%}
    {%- set printable = '\\t\\r\\n -~' -%}
    case
        when regexp_full_match({{ said }}, '[{{ printable }}]*') then regexp_matches({{ said }}, '[A-Za-z0-9]{3}')
        when regexp_full_match({{ said }}, '[{{ printable }}]*[A-Za-z0-9\x{80}-\x{10ffff}]{3}[{{ printable }}\x{80}-\x{10ffff}]*')
            then {{ named(said, 'unicode', "regexp_full_match(unicode, '[" ~ printable ~ "]*[\\pL\\pN]{3}[\\pL\\pN\\pP\\pS\\pZ\\t\\r\\n]*')") }}
    end
{%- endmacro %}
