{#- Incremental strategy: delete what the batch affects, then insert what it recomputed, so that a key that
    vanishes does vanish. The model's meta names the model that says what is affected (`affected_by`) and how
    a row is matched to it (`affected_when`, over the aliases `kept` and `affected`). -#}
{% macro get_incremental_replace_affected_sql(arg_dict) -%}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) -%}
    {%- set meta = config.get('meta') -%}

    delete from {{ arg_dict['target_relation'] }} as kept
    where exists (
        select 1 from {{ ref(meta['affected_by']) }} as affected
        where {{ meta['affected_when'] }}
    );

    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{%- endmacro %}
