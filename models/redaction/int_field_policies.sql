{{ refuse_undecided_fields(ref('int_field_decisions')) }}
{{- refuse_unredacted_columns() }}

with decided as (

    select * from {{ ref('int_field_decisions') }}

),

words as (

    select
        decided.source_format,
        vocabulary.field,
        {{ sorted_set('vocabulary.word') }} as words
    from decided
    inner join {{ ref('vocabulary') }} as vocabulary
        on decided.field = vocabulary.field
        and vocabulary.source_format in ('*', decided.source_format)
    group by decided.source_format, vocabulary.field

),

by_format as (

    select
        decided.source_format,
        {%- for field in contract_fields() if field not in ['tenant_id', 'properties'] %}
        max(decided.action) filter (where decided.field = '{{ field }}') as {{ field }}_action,
        max(words.words) filter (where decided.field = '{{ field }}') as {{ field }}_words,
        {%- endfor %}
        {{ list_of_structs(
            {
                'property': 'substr(decided.field, 12)',
                'class': 'decided.class',
                'action': 'decided.action',
                'words': 'words.words'
            },
            "decided.field like 'properties.%' and decided.action <> 'drop'"
        ) }} as property_rules
    from decided
    left join words on decided.source_format = words.source_format and decided.field = words.field
    group by decided.source_format

)

select * from by_format
