{#- What a cohort is called: its attributes where the level looks at them, `*` where it does not. -#}
{% macro cohort_labels(attributes, level, relation) -%}
    {%- for attribute in attributes -%}
    {{ relation ~ '.' ~ attribute if attribute in level else "'*'" }} as cohort_{{ attribute }}
    {{- ',\n        ' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
