{#- The condition holds in every row; where it cannot be decided it does not hold. -#}
{% test is_true(model, condition) %}
    select 1 as violation
    from {{ model }}
    where coalesce(not ({{ condition }}), true)
{% endtest %}
