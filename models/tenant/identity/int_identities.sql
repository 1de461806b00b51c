-- the linter does not know recursion by key
-- noqa: disable=PRS
{{ config(
    materialized='incremental',
    meta={
        'affected_by': 'int_affected_identities',
        'affected_when': 'kept.tenant_key = affected.tenant_key and kept.unit_key = affected.unit_key',
    },
) }}

with affected as (

    select * from {{ ref('int_affected_identities') }}

),

nodes as (

    {{ of_affected(ref('int_identity_nodes')) }}

),

links as (

    select * from {{ ref('int_identity_links') }}

),

-- one row per device and user of it; with a device that may join its users, all of them are affected
uses as (

    select distinct
        nodes.tenant_key,
        nodes.unit_key as device_key,
        links.user_key,
        nodes.neighbours,
        nodes.neighbours <= nodes.max_users_per_device as may_join
    from nodes
    inner join links
        on nodes.tenant_key = links.tenant_key
        and nodes.unit_key = links.anonymous_key
    where not nodes.is_user

),

joined as (

    select
        tenant_key,
        user_key,
        min(user_key) over (partition by tenant_key, device_key) as least_user_key
    from uses
    where may_join

),

edges as (

    select
        tenant_key,
        user_key as one_key,
        least_user_key as other_key
    from joined
    where user_key <> least_user_key
    union
    select
        tenant_key,
        least_user_key as one_key,
        user_key as other_key
    from joined
    where user_key <> least_user_key

),

components as (

    {{ connected_components('edges') }}

),

placed_users as (

    select
        nodes.*,
        coalesce(components.component_key, nodes.unit_key) as component_key
    from nodes
    left join components
        on nodes.tenant_key = components.tenant_key
        and nodes.unit_key = components.node_key
    where nodes.is_user

),

-- a person goes by the user id that was seen first; more user ids than a person may have are as many persons
users as (

    select
        tenant_key,
        unit_key,
        is_user,
        component_key,
        case
            when count(*) over (partition by tenant_key, component_key) > max_users_per_person then unit_key
            else first_value(unit_key) over (partition by tenant_key, component_key order by first_at, unit_key)
        end as person_key,
        adjacency
    from placed_users

),

-- whose a device is, is a matter of time where several persons share it
devices as (

    select
        nodes.tenant_key,
        nodes.unit_key,
        nodes.is_user,
        case when uses.may_join then min(users.component_key) else nodes.unit_key end as component_key,
        case when uses.may_join and count(distinct users.person_key) = 1 then min(users.person_key) end as person_key,
        nodes.adjacency
    from nodes
    inner join uses
        on nodes.tenant_key = uses.tenant_key
        and nodes.unit_key = uses.device_key
    left join users
        on uses.tenant_key = users.tenant_key
        and uses.user_key = users.unit_key
    group by nodes.tenant_key, nodes.unit_key, nodes.is_user, nodes.adjacency, uses.may_join

),

identities as (

    select
        tenant_key,
        unit_key,
        is_user,
        component_key,
        person_key,
        adjacency
    from users
    union all
    select * from devices

)

select * from identities
