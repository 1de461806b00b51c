{#- An import for marts that are built tenant by tenant: one that the batch touches is computed whole, from relations that are small
    beside its events, and all others stay as they are. -#}
{% macro of_affected_tenants(relation) -%}
    select kept.* from {{ relation }} as kept
    {%- if is_incremental() %}
    where exists (select 1 from affected where affected.tenant_key = kept.tenant_key)
    {%- endif %}
{%- endmacro %}
