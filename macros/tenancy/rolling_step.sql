{#- One step of a running sum over `in_reach`: what changes on a day because a person was active. -#}
{% macro rolling_step(activity_date, active=0, newcomers=0, resurrected=0, weekly=0, monthly=0) -%}
    select
        tenant_key,
        {{ activity_date }} as activity_date,
        {{ active }} as active,
        {{ newcomers }} as newcomers,
        {{ resurrected }} as resurrected,
        {{ weekly }} as weekly,
        {{ monthly }} as monthly
    from in_reach
{%- endmacro %}
