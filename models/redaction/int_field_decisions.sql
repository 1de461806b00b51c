with shipped as (

    select * from {{ ref('field_policies') }}

),

overrides as (

    select * from {{ source('control', 'field_policy_overrides') }}

),

formats as (

    {%- for source_format in var('formats') %}
    select '{{ source_format }}' as source_format
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

-- the most particular word wins: the workspace's over the shipped one, the format's over that for all formats
candidates as (

    select
        source_format,
        field,
        class,
        action,
        audience,
        1 as priority
    from shipped
    union all
    select
        source_format,
        field,
        class,
        action,
        audience,
        2 as priority
    from overrides

),

ranked as (

    select
        formats.source_format,
        candidates.field,
        candidates.class,
        candidates.action,
        candidates.audience,
        row_number() over (
            partition by formats.source_format, candidates.field
            order by candidates.priority desc, (candidates.source_format <> '*') desc
        ) as rank_in_field
    from formats
    inner join candidates on candidates.source_format in ('*', formats.source_format)

),

decided as (

    select
        source_format,
        field,
        class,
        action,
        audience
    from ranked
    where rank_in_field = 1

)

select * from decided
