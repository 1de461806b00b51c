{#- Incremental strategy: delete what the batch affects, then insert what it recomputed, so that a key that
    vanishes does vanish. The model's meta says what is affected (`is_affected`). A row that is inserted has to be affected itself: only
    then is it no copy of one that was kept. -#}
{% macro get_incremental_replace_affected_sql(arg_dict) -%}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) -%}
    {%- set meta = config.get('meta') -%}
    {%- set affecting = ref(meta['affected_by']) -%}

    delete from {{ arg_dict['target_relation'] }} as kept
    where {{ is_affected(meta, affecting) }};

    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }} as kept
    where case when {{ is_affected(meta, affecting) }} then true else {{ refusal(this.identifier ~ ' wrote what the batch does not affect') }} end
{%- endmacro %}
