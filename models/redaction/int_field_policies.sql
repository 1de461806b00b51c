{%- set fields = [
    'event_id', 'event_name', 'feature', 'occurred_at', 'received_at', 'user_id', 'anonymous_id', 'account_id',
    'session_id', 'url', 'referrer', 'ip', 'user_agent', 'country', 'platform', 'duration_ms', 'value_minor'
] -%}

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
        1 as priority
    from shipped
    union all
    select
        source_format,
        field,
        class,
        action,
        2 as priority
    from overrides

),

ranked as (

    select
        formats.source_format,
        candidates.field,
        candidates.class,
        candidates.action,
        row_number() over (
            partition by formats.source_format, candidates.field
            order by candidates.priority desc, (candidates.source_format <> '*') desc
        ) as rank_in_field
    from formats
    inner join candidates on candidates.source_format in ('*', formats.source_format)

),

decided as (

    select * from ranked
    where rank_in_field = 1

),

words as (

    select
        formats.source_format,
        vocabulary.field,
        {{ sorted_set('vocabulary.word') }} as words
    from formats
    inner join {{ ref('vocabulary') }} as vocabulary on vocabulary.source_format in ('*', formats.source_format)
    group by formats.source_format, vocabulary.field

),

by_format as (

    select
        decided.source_format,
        {%- for field in fields %}
        max(decided.action) filter (where decided.field = '{{ field }}') as {{ field }}_action,
        {%- endfor %}
        {%- for field in ['event_name', 'platform', 'url'] %}
        max(words.words) filter (where decided.field = '{{ field }}') as {{ field }}_words,
        {%- endfor %}
        {{ list_of_structs(
            {
                'property': 'substr(decided.field, 12)', 'class': 'decided.class', 'words': 'words.words',
                'action': 'decided.action'
            },
            "decided.field like 'properties.%' and decided.action <> 'drop'"
        ) }} as property_rules
    from decided
    left join words on decided.source_format = words.source_format and decided.field = words.field
    group by decided.source_format

)

select * from by_format
