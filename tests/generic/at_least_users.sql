{#- A group has the users that its quorum needs, each contributor counted up to the cap; and no more weight than users. -#}
{% test at_least_users(model, weight, users, least) %}
    select 1 as violation
    from {{ model }}
    where coalesce({{ weight }} < {{ least }} or {{ weight }} > {{ users }}, true)
{% endtest %}
