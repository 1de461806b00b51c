{#- A pseudonym: HMAC-SHA256 under the tenant's key, 128 bits in hex. The class keeps a user id and an equal
    device id apart. Needs `inner_pad` and `outer_pad` of the row's tenant in scope. -#}
{% macro tokenise(value, class, case_matters=false) -%}
    left({{ hmac_sha256('inner_pad', 'outer_pad', "'" ~ class ~ ":' || " ~ normalised(value, case_matters)) }}, 32)
{%- endmacro %}

{#- The two actions that tokenise, for `redact`. -#}
{% macro token_forms(value, class) -%}
    {{ return({
        'tokenise': tokenise(value, class),
        'tokenise_exact': tokenise(value, class, case_matters=true),
    }) }}
{%- endmacro %}
