{#- The columns together name at most one row, and none of them is NULL; but in those of `nullable` NULL is a value too. Of an incremental
    model the keys are looked at that the batch affects: it left all others as they were, and the strategy refuses to write any. -#}
{% test unique_key(model, columns, nullable=[]) %}
    {%- set meta = what_affects(model) if execute else none -%}
    {%- set key = [] -%}
    {%- set same_key = [] -%}
    {%- for column in columns -%}
        {%- do key.append('kept.' ~ column) -%}
        {%- do same_key.append(key[-1] ~ (' is not distinct from ' if column in nullable else ' = ') ~ 'affected_keys.' ~ column) -%}
    {%- endfor -%}

    with affected_keys as (

        select
            {{ columns | join(', ') }},
            count(*) as copies
        from {{ model }} as kept
        {%- if meta %}
        where {{ is_affected(meta, meta['affecting']) }}
        {%- endif %}
        group by {{ columns | join(', ') }}

    )

    select {{ columns | join(', ') }}
    from affected_keys
    where copies > 1
    {%- for column in columns if column not in nullable %} or {{ column }} is null
    {%- endfor %}
    {%- if meta and is_matched_beyond(meta, columns) %}
    union all
    -- a row of the same key need not be affected itself
    select {{ key | join(', ') }}
    from {{ model }} as kept
    inner join affected_keys on {{ same_key | join(' and ') }}
    group by {{ key | join(', ') }}
    having count(*) > 1
    {%- endif %}
{% endtest %}
