{#- No contributor has a larger share of a group's weight. Shares are quotients of whole numbers, so a hair is allowed for. -#}
{% test no_dominance(model, share, at_most) %}
    select 1 as violation
    from {{ model }}
    where coalesce({{ share }} > {{ at_most }} + 1e-12, true)
{% endtest %}
