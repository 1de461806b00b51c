{#- What a tenant is known by of whom somebody was erased, and a person of it that was: an HMAC under the erasure key, which
    `quorum.subjects` makes too. `key` is a relation in scope with its padded halves, and with the `tenant_id`. -#}
{% macro erased_tenant(key, tenant_id) -%}
    {{ hmac_sha256(key ~ '.inner_pad', key ~ '.outer_pad', "'tenant:' || " ~ tenant_id) }}
{%- endmacro %}

{% macro erased_person(key, kind, value, case_matters=false) -%}
    {%- set kind = kind ~ '_exact' if case_matters else kind -%}
    {%- set tenant = "length(" ~ key ~ ".tenant_id) || ':' || " ~ key ~ ".tenant_id" -%}
    {{ hmac_sha256(
        key ~ '.inner_pad', key ~ '.outer_pad',
        "'" ~ kind ~ ":' || " ~ tenant ~ " || ':' || " ~ normalised(value, case_matters)
    ) }}
{%- endmacro %}

{#- Of a row that is forgotten nothing stays but that there was one. Needs `landed` in scope. -#}
{% macro unless_forgotten(value) -%}
    case when landed.reason not in ('erased', 'expired') then {{ value }} end
{%- endmacro %}
