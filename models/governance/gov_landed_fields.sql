{#- A line with more text, or an object with more keys, is data and no description of it. -#}
{%- set most_characters = 65536 -%}
{%- set most_keys = 500 -%}
{#- And so many names in one format are no names. -#}
{%- set most_names = 2000 -%}

with queued as (

    select * from {{ source('landing', 'landing_work') }}

),

judged as (

    select * from {{ ref('int_events_landed') }}

),

landed as (

    select queued.*
    from queued
    where
        length(queued.line) <= {{ most_characters }}
        -- of what is forgotten no name stays either
        and not exists (
            select 1 from judged
            where
                judged.reason in ('erased', 'expired')
                and judged.landing_file = queued.landing_file
                and judged.landing_row = queued.landing_row
        )

),

-- lines of one format mostly look alike: it is the few shapes that are taken apart
shapes as (

    {%- for source_format in var('formats') %}
    select
        source_format,
        key_lists,
        count(*) as line_count
    from (
        select
            source_format,
            {{ json_key_lists('line', read_containers(source_format)) }} as key_lists
        from landed
        where source_format = '{{ source_format }}'
    ) as lines_of_{{ source_format }}
    group by source_format, key_lists
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

described as (

    {%- for source_format in var('formats') %}
    select
        source_format,
        {{ prefixed_keys('key_lists', read_containers(source_format).values(), most_keys) }} as raw_fields,
        line_count
    from shapes
    where source_format = '{{ source_format }}'
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

fields as (

    select
        source_format,
        {{ unnested('raw_fields') }} as raw_field,
        line_count
    from described

),

ranked as (

    select
        source_format,
        raw_field,
        row_number() over (partition by source_format order by sum(line_count) desc, raw_field) as rank_in_format
    from fields
    group by source_format, raw_field

),

-- what is beyond the limit is one row, so that it does not go unseen
seen as (

    select distinct
        ranked.source_format,
        case when ranked.rank_in_format <= {{ most_names }} then ranked.raw_field else '*' end as raw_field,
        run.as_of
    from ranked
    cross join {{ source('control', 'run_control') }} as run

)

select * from seen
