{#- A pseudonym: HMAC-SHA256 under the tenant's key, 128 bits in hex. The class keeps a user id and an equal
    device id apart. Each later key epoch carries the token of the epoch before it on, so that what was stored under an
    earlier one can follow. Needs `inner_pad`, `outer_pad` and `further_pads` of the row's tenant in scope. -#}
{% macro tokenise(value, class, case_matters=false) -%}
    {%- set first -%}
        left({{ hmac_sha256('inner_pad', 'outer_pad', "'" ~ class ~ ":' || " ~ normalised(value, case_matters)) }}, 32)
    {%- endset -%}
    case when {{ list_length('further_pads') }} > 0 then {{ hmac_chain(first, 'further_pads') }} else {{ first }} end
{%- endmacro %}

{#- The two actions that tokenise, for `redact`. -#}
{% macro token_forms(value, class) -%}
    {{ return({
        'tokenise': tokenise(value, class),
        'tokenise_exact': tokenise(value, class, case_matters=true),
    }) }}
{%- endmacro %}
