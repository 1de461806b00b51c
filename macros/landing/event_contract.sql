{#- The fields of the event contract and their types, in the order of every staging view. -#}
{% macro contract_fields() -%}
    {{ return({
        'tenant_id': 'varchar',
        'event_id': 'varchar',
        'user_id': 'varchar',
        'anonymous_id': 'varchar',
        'account_id': 'varchar',
        'session_id': 'varchar',
        'event_name': 'varchar',
        'feature': 'varchar',
        'url': 'varchar',
        'referrer': 'varchar',
        'ip': 'varchar',
        'user_agent': 'varchar',
        'country': 'varchar',
        'platform': 'varchar',
        'properties': 'varchar',
        'occurred_at': 'timestamp',
        'received_at': 'timestamp',
        'sent_at': 'timestamp',
        'duration_ms': 'bigint',
        'value_minor': 'bigint'
    }) }}
{%- endmacro %}

{#- The columns of a landed row once it is known whose it is and when it happened. -#}
{% macro clocked_columns() -%}
    {{ return(
        ['landing_file', 'landing_row', 'source_format', 'defect', 'is_object', 'is_mismatch', 'occurred_at_rule']
        + contract_fields().keys() | list
    ) }}
{%- endmacro %}

{#- A relation in the event contract: an expression for each field that the format has, NULL for the others. -#}
{% macro event_contract(relation, fields) -%}
    {%- set contract = contract_fields() -%}
    {#- what maps to what, for those who read the manifest: `quorum.catalog`, and `refuse_undecided_fields` -#}
    {%- do config(meta={'contract': fields, 'contract_fields': contract.keys() | list}) -%}
    {%- for field in fields if field not in contract -%}
        {{ exceptions.raise_compiler_error(field ~ ' is no field of the event contract') }}
    {%- endfor -%}
    {%- set fields = dict(fields, properties=json_object(fields['properties'])) if 'properties' in fields else fields -%}
    select
        landing_file,
        landing_row,
        source_format,
        folder_tenant,
        line,
        defect,
        is_object,
        {%- for field, type in contract.items() %}
        {%- set expression = fields.get(field, 'cast(null as ' ~ type ~ ')') %}
        {{ expression }}{{ ' as ' ~ field if expression != field }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ relation }}
{%- endmacro %}
