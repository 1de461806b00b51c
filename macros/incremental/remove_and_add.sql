{#- Incremental strategy: delete the rows that leave, then insert those that come, which need not be the same ones. The model's meta
    names the model that says what leaves (`removed_by`) and how a row is matched to it (`removed_when`, over the aliases `kept` and
    `removed`). -#}
{% macro get_incremental_remove_and_add_sql(arg_dict) -%}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) -%}
    {%- set meta = config.get('meta') -%}

    delete from {{ arg_dict['target_relation'] }} as kept
    where exists (select 1 from {{ ref(meta['removed_by']) }} as removed where {{ meta['removed_when'] }});

    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{%- endmacro %}
