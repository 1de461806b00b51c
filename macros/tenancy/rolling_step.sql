{#- One step of a running sum over `in_reach`: what changes on a day because a user was active. -#}
{% macro rolling_step(activity_date, active=0, events=0, weekly=0, monthly=0) -%}
    select
        tenant_key,
        {{ activity_date }} as activity_date,
        {{ active }} as active,
        {{ events }} as events,
        {{ weekly }} as weekly,
        {{ monthly }} as monthly
    from in_reach
{%- endmacro %}
