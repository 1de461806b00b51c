{#- What holds for each tenant: its own rows of a file where it has any, else those of the row `*`. A query over a relation with a
    tenant_id; the model imports `keys` beside it. -#}
{% macro of_tenants(rules) -%}
    select
        keys.tenant_key,
        case
            when keys.tenant_id = '*' then 'default'
            when own.tenant_id is null then 'unlisted'
            else 'listed'
        end as listing,
        {{ rules }}.*
    from keys
    left join (select distinct tenant_id from {{ rules }}) as own on keys.tenant_id = own.tenant_id
    inner join {{ rules }} on coalesce(own.tenant_id, '*') = {{ rules }}.tenant_id
{%- endmacro %}

{#- The instant at which a version begins: local midnight, and never before its predecessor, where a tenant that crosses the date line
    has two of a day. -#}
{% macro version_start(zone, versions_of) -%}
    max({{ local_midnight('valid_from', zone) }}) over (
        partition by {{ versions_of }}
        order by valid_from
        rows between unbounded preceding and current row
    )
{%- endmacro %}

{#- The instant at which the next version begins. -#}
{% macro version_end(versions_of) -%}
    coalesce(
        lead(starts_at) over (partition by {{ versions_of }} order by valid_from),
        timestamp '2200-01-01'
    )
{%- endmacro %}
