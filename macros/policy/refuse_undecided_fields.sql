{#- A field that nobody decided about would be dropped without a word, and so would one whose action no model can do.
    The decisions are looked at where they have just been built. -#}
{% macro refuse_undecided_fields(decisions) -%}
    {%- if execute and flags.WHICH in ('build', 'run', 'retry') and not flags.EMPTY -%}
        {%- set actions, forms = {}, forms_of_fields() -%}
        {%- for row in run_query('select source_format, field, class, action, audience from ' ~ decisions) -%}
            {%- do actions.update({(row['source_format'], row['field']): row['action']}) -%}
            {{- refuse_wide_audience(row['field'], row['audience']) -}}
            {{- refuse_shared_pseudonym(row['field'], row['class']) -}}
        {%- endfor -%}
        {%- for source_format in var('formats') -%}
            {%- for field in contract_fields() -%}
                {%- set action, where = actions.get((source_format, field)), field ~ ' of format ' ~ source_format -%}
                {%- if action is none -%}
                    {{ exceptions.raise_compiler_error(
                        'nobody decided what becomes of field ' ~ where ~ ': give it a row in field_policies'
                    ) }}
                {%- elif field != 'tenant_id' and action != 'drop' and action not in forms.get(field, []) -%}
                    {{ exceptions.raise_compiler_error('no model can ' ~ action ~ ' field ' ~ where) }}
                {%- endif -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{#- The actions that `redact` was given a form for, by field. -#}
{% macro forms_of_fields() -%}
    {%- set forms = {} -%}
    {%- for key, actions in graph.nodes['model.quorum.int_events_redacted'].config.meta.items() -%}
        {%- do forms.update({key.removeprefix('forms_'): actions}) -%}
    {%- endfor -%}
    {{ return(forms) }}
{%- endmacro %}
