{%- set attempts = built('fct_funnel_attempts') -%}

with activity as (

    select * from {{ ref('int_affected_activity') }}

),

person_days as (

    select * from {{ ref('int_affected_person_days') }}

),

events as (

    select * from {{ ref('fct_events') }}
    where activity_date >= (select min(person_days.activity_date) from person_days)

),

funnels as (

    select * from {{ ref('dim_funnels') }}

),

-- a day that comes to count, or counts no more, takes along what its person did for any account
subject_days as (

    select
        tenant_key,
        'user' as grain,
        person_key as subject_key,
        activity_date
    from person_days
    union
    select
        tenant_key,
        'account' as grain,
        account_key as subject_key,
        activity_date
    from activity
    where account_key is not null
    {%- if attempts %}
    union
    select
        events.tenant_key,
        'account' as grain,
        events.account_key as subject_key,
        events.activity_date
    from events
    inner join person_days
        on events.tenant_key = person_days.tenant_key
        and events.person_key = person_days.person_key
        and events.activity_date = person_days.activity_date
    where events.account_key is not null
    {%- endif %}

),

subjects as (

    select
        tenant_key,
        grain,
        subject_key,
        min(activity_date) as first_day,
        max(activity_date) as last_day
    from subject_days
    group by tenant_key, grain, subject_key

),

-- a funnel that is declared no more, or for subjects of another kind, leaves its attempts behind
reaches as (

    select
        tenant_key,
        funnel,
        grain,
        cast({{ integer_division('window_hours + 23', 24) }} as integer) as days
    from funnels
    {%- if attempts %}
    union all
    select
        attempts.tenant_key,
        attempts.funnel,
        grains.grain,
        0 as days
    from (select distinct tenant_key, funnel from {{ attempts }}) as attempts
    cross join (select distinct grain from subject_days) as grains
    where not exists (
        select 1 from funnels
        where funnels.tenant_key = attempts.tenant_key and funnels.funnel = attempts.funnel and funnels.grain = grains.grain
    )
    {%- endif %}

),

-- an event can end attempts that began its window ago, in a week that began up to six days before that; where a tenant
-- moves to another time zone, a later event may have an earlier date
affected as (

    select
        subjects.tenant_key,
        reaches.funnel,
        subjects.subject_key,
        min(subjects.first_day - reaches.days) - 8 as first_week,
        max(subjects.last_day) + 2 as last_week
    from subjects
    inner join reaches
        on subjects.tenant_key = reaches.tenant_key
        and subjects.grain = reaches.grain
    group by subjects.tenant_key, reaches.funnel, subjects.subject_key

)

select * from affected
