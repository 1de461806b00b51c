{#- How far a funnel's attempt gets, event by event, beginning with the one that opens it. Events are structs of `place` (1, 2, ...),
    `steps` (the steps that it matches, a bit each) and `instants` (its own, as a list); what comes of them is one more such struct:
    the number of steps done, which ones, and when each was. An event does one step at the most, the first that it may. -#}
{% macro funnel_progress(events, sequence) -%}
    {#- in order the steps done are 1, 11, 111, ... so the next one is that number and 1 more -#}
    {%- set possible -%}
        (case
            when {{ sequence }} = 'any' then seen.steps & ~done.steps
            when {{ sequence }} = 'ordered' or seen.place = done.place + 1 then seen.steps & (done.steps + 1)
            else 0
        end)
    {%- endset -%}
    {%- set advanced = struct_of({
        'place': 'done.place + 1',
        'steps': 'done.steps | (' ~ possible ~ ' & -' ~ possible ~ ')',
        'instants': joined_lists('done.instants', 'seen.instants'),
    }) -%}
    {{ folded(events, element(events, 1), 'done', 'seen', 'case when ' ~ possible ~ ' = 0 then done else ' ~ advanced ~ ' end') }}
{%- endmacro %}
