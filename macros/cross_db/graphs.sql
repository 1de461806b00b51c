{#- Connected components, as a query: one row per node of `edges` (a relation of tenant_key, one_key, other_key, both ways round), its
    component named by the least node in it. Whatever the order of the edges, and however long the ways between nodes. -#}
{% macro connected_components(edges) -%}
    {{ return(adapter.dispatch('connected_components', 'quorum')(edges)) }}
{%- endmacro %}

{% macro duckdb__connected_components(edges) -%}
    {#- a round hands smaller names on to neighbours; only who has just got one hands it on -#}
    with recursive named (tenant_key, node_key, component_key) using key (tenant_key, node_key) as (
        select distinct tenant_key, one_key, one_key from {{ edges }}
        union
        select
            linked.tenant_key,
            linked.other_key,
            min(named.component_key)
        from named
        inner join {{ edges }} as linked on named.tenant_key = linked.tenant_key and named.node_key = linked.one_key
        inner join recurring.named as known on linked.tenant_key = known.tenant_key and linked.other_key = known.node_key
        where named.component_key < known.component_key
        group by linked.tenant_key, linked.other_key
    )
    select * from named
{%- endmacro %}
