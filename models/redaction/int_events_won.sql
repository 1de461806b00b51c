{#- What makes rows one event, and what tells them apart: all that is known of them, in the order in which it decides. -#}
{%- set event = ['tenant_key', 'unit_key', 'event_key'] -%}
{%- set contest = [
    'received_at', 'occurred_at', 'feature', 'event_name', 'value_minor', 'duration_ms', 'properties', 'url_path',
    'referrer_channel', 'platform', 'country', 'user_key', 'anonymous_key', 'account_key', 'client_session_key', 'ip_network',
    'user_agent_family', 'occurred_at_rule', 'source_format', 'landing_file', 'landing_row'
] -%}
{%- set accepted = built('int_events', 'tenant') -%}

with candidates as (

    select {{ (event + contest) | join(', ') }}
    from {{ ref('int_events_admitted') }}

),

batch_rows as (

    select * from {{ ref('int_batch_rows') }}

),

{% if accepted -%}
-- the event as it stands, unless its own row is read again
standing as (

    select {{ (event + contest) | join(', ') }}
    from {{ accepted }} as accepted
    where exists (
        select 1 from candidates
        where candidates.tenant_key = accepted.tenant_key
            and candidates.unit_key = accepted.unit_key
            and candidates.event_key = accepted.event_key
    )
    and not exists (
        select 1 from batch_rows
        where batch_rows.landing_file = accepted.landing_file and batch_rows.landing_row = accepted.landing_row
    )

),

{% endif -%}
contestants as (

    select
        *,
        true as is_new
    from candidates
    {%- if accepted %}
    union all
    select
        *,
        false as is_new
    from standing
    {%- endif %}

),

-- one user's rows never decide about another's, so a duplicate is one within its unit; and the smallest of all
-- that ever landed wins, in whatever order it came. A file's hash, which all its users make, is asked last: what is
-- tied until then is the same event in all that it says
ranked as (

    select
        *,
        row_number() over (
            partition by {{ event | join(', ') }}
            order by {{ contest | join(' nulls last, ') }} nulls last
        ) as repetition
    from contestants

),

won as (

    select
        tenant_key,
        unit_key,
        event_key,
        occurred_at,
        landing_file,
        landing_row
    from ranked
    where repetition = 1 and is_new

)

select * from won
