{#- Free text with a mark such as `[email]` in place of each structured kind of personal data and each secret. Patterns end
    where names begin: "ask Ada from accounting" passes as it is. NULL for an object or a list. -#}
{% macro scrub(text) -%}
    case
        when {{ text }} is null or {{ is_object_or_list(text) }} then null
        when not {{ may_hold_what_is_marked(text) }} then {{ text }}
        -- nobody types that much, and checks grow with it
        when length({{ text }}) > 10000 then '[too long]'
        else {{ scrubbed(text) }}
    end
{%- endmacro %}

{#- A cheap look that spares most texts the dear ones: all that is marked has a digit, a sign or a long word in it. -#}
{% macro may_hold_what_is_marked(text) -%}
    {{ matches(text, '[0-9@%&\\\\=:+/_]|[^ -~]|BEGIN|[A-Za-z0-9]{12}|(?i) (at|arroba|arobase) |[[({<] ?at ?[]})>]|www[.]|bearer') }}
{%- endmacro %}

{#- Each step leaves less to the next: secrets and addresses first, since they hold numbers. -#}
{% macro scrubbed(text) -%}
    {%- set steps = namespace(text=plain_characters(text)) -%}
    {%- for mark, patterns in marks_by_shape().items() -%}
        {%- set steps.text = replaced(steps.text, '(?:' ~ patterns | join(')|(?:') ~ ')', '[' ~ mark ~ ']') -%}
    {%- endfor -%}
    {%- set steps.text = marked_where(steps.text, iban_shape(), 'iban', is_iban('found')) -%}
    {%- set steps.text = marked_where(steps.text, spanish_id_shape(), 'id', is_spanish_id('found')) -%}
    {%- set steps.text = marked_where(steps.text, french_id_shape(), 'id', is_french_id('found')) -%}
    {%- set steps.text = marked_where(steps.text, '[0-9A-Za-z:.]*::[0-9A-Za-z:.]*(?:%[0-9A-Za-z]+)?(?:/[0-9]{1,3}|]:[0-9]{1,5})?', 'ip', is_ipv6('found')) -%}
    {%- set steps.text = marked_where(steps.text, '[A-Za-z0-9+/_=-]{8,}', 'token', is_opaque('found')) -%}
    {{ marked_numbers(steps.text) }}
{%- endmacro %}

{#- What a check confirms, marked; the longest first, since a shorter one may be a part of it. An engine makes a lambda ready
    for each batch in which a row comes to it, with all the patterns in it: few come to these. -#}
{% macro marked_where(text, shape, mark, check) -%}
    {%- set found = named('whole', 'held', filtered(all_matches('held', shape), 'found', check)) -%}
    {%- set marked = folded(longest_first('confirmed'), 'whole', 'rest', 'found', "replace(rest, found, '[" ~ mark ~ "]')") -%}
    {{ named(text, 'whole', "case when " ~ matches('whole', shape) ~ " then " ~ named(
        found, 'confirmed', "case when " ~ list_length('confirmed') ~ " > 0 then " ~ marked ~ " else whole end"
    ) ~ " else whole end") }}
{%- endmacro %}

{#- Something that is no word: letters and digits mixed at length, or base64 of a text. -#}
{% macro is_opaque(word) -%}
    (
        length({{ word }}) >= 20
        and {{ matches(word, '[0-9]') }}
        and {{ matches(word, '[A-Za-z]') }}
        or {{ matches(word, '^[A-Za-z0-9+/_=-]{40,}$') }}
        or {{ base64_text(word) }} is not null
    )
{%- endmacro %}

{#- The three groups of dots and colons that IPv6 may be spelt in; what has eight groups is found by its shape. -#}
{% macro is_ipv6(word) -%}
    ({{ matches(word, '[0-9]') }} and {{ ipv6_network(replaced(word, '(?:[.]+|/[0-9]+|]:[0-9]+)$', '')) }} is not null)
{%- endmacro %}
