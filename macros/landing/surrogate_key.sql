{#- An id for what has none of its own: equal where all of its parts are. Lengths keep ('ab', 'c') and ('a', 'bc') apart. -#}
{% macro surrogate_key(parts) -%}
    {%- set lengthened = [] -%}
    {%- for part in parts -%}
        {%- do lengthened.append("coalesce(length(" ~ part ~ ") || ':' || " ~ part ~ ", '-')") -%}
    {%- endfor -%}
    {{ sha256_text(lengthened | join(' || ')) }}
{%- endmacro %}
