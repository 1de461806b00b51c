{%- set known = built('int_identities') -%}

with nodes as (

    select * from {{ ref('int_identity_nodes') }}

),

links as (

    select * from {{ ref('int_identity_links') }}

),

{% if known -%}
known as (

    select * from {{ known }}

),

-- whose neighbours are not those with which its person was found
touched as (

    select
        coalesce(nodes.tenant_key, known.tenant_key) as tenant_key,
        coalesce(nodes.unit_key, known.unit_key) as unit_key
    from nodes
    full join known
        on nodes.tenant_key = known.tenant_key
        and nodes.unit_key = known.unit_key
    where nodes.adjacency is distinct from known.adjacency

),

-- a device that gains or loses a user may begin or cease to join the others
reached as (

    select * from touched
    union
    select
        links.tenant_key,
        links.user_key as unit_key
    from links
    inner join touched
        on links.tenant_key = touched.tenant_key
        and links.anonymous_key = touched.unit_key

),

torn as (

    select distinct
        known.tenant_key,
        known.component_key
    from known
    inner join reached
        on known.tenant_key = reached.tenant_key
        and known.unit_key = reached.unit_key

),

affected as (

    select * from reached
    union
    select
        known.tenant_key,
        known.unit_key
    from known
    inner join torn
        on known.tenant_key = torn.tenant_key
        and known.component_key = torn.component_key

)
{%- else -%}
affected as (

    select
        tenant_key,
        unit_key
    from nodes

)
{%- endif %}

select * from affected
