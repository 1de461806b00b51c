{#- Events as their tenant sees them: whose they are, on which local day and in which week, and under which rules. A query over a
    relation with the columns of `int_events`; the model imports `tenants`, `identities`, `activity_rules` and `listings` beside it. -#}
{% macro placed(events) -%}
    select
        {{ events }}.tenant_key,
        {{ events }}.event_key,
        {{ events }}.unit_key,
        coalesce(identities.person_key, {{ events }}.unit_key) as person_key,
        {{ events }}.user_key,
        {{ events }}.anonymous_key,
        {{ events }}.account_key,
        {{ events }}.event_name,
        {{ events }}.feature,
        {{ events }}.occurred_at,
        {{ events }}.received_at,
        {{ local_date(events ~ '.occurred_at', 'tenants.timezone') }} as activity_date,
        tenants.week_start as first_weekday,
        cast(tenants.session_timeout_minutes as bigint) * 60 as session_timeout_seconds,
        activity_rules.event_names is null or {{ in_words(events ~ '.event_name', 'activity_rules.event_names') }} as is_activity,
        coalesce(listings.listed_as, {{ declared_robot(events ~ '.user_agent_family', events ~ '.properties') }}) as listed_as,
        {{ events }}.url_path,
        {{ events }}.referrer_channel,
        {{ events }}.platform,
        {{ events }}.country,
        {{ events }}.duration_ms,
        {{ events }}.value_minor,
        {{ events }}.properties
    from {{ events }}
    inner join tenants
        on {{ events }}.tenant_key = tenants.tenant_key
        and {{ events }}.occurred_at >= tenants.valid_from_at
        and {{ events }}.occurred_at < tenants.valid_to_at
    left join identities
        on {{ events }}.tenant_key = identities.tenant_key
        and {{ events }}.unit_key = identities.unit_key
        and {{ events }}.occurred_at >= identities.valid_from_at
        and {{ events }}.occurred_at < identities.valid_to_at
    left join activity_rules
        on {{ events }}.tenant_key = activity_rules.tenant_key
        and {{ events }}.occurred_at >= activity_rules.valid_from_at
        and {{ events }}.occurred_at < activity_rules.valid_to_at
    left join listings
        on {{ events }}.tenant_key = listings.tenant_key
        and {{ events }}.unit_key = listings.unit_key
        and {{ events }}.occurred_at >= listings.valid_from_at
        and {{ events }}.occurred_at < listings.valid_to_at
{%- endmacro %}

{#- `bot` where an event says itself that a robot sent it, else NULL. -#}
{% macro declared_robot(user_agent_family, properties) -%}
    case when {{ user_agent_family }} = 'robot' or {{ properties }} like '%"isRobot":true%' then 'bot' end
{%- endmacro %}
