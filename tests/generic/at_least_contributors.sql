{#- A group has the contributors that its quorum needs. -#}
{% test at_least_contributors(model, contributors, least) %}
    select 1 as violation
    from {{ model }}
    where coalesce({{ contributors }} < {{ least }}, true)
{% endtest %}
