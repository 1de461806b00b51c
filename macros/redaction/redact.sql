{#- What a field becomes under its policy. `forms` maps each action that suits the field to an expression.
    Default deny: no policy, or an action that is not among the forms, gives NULL.
    The manifest gets to know the forms, so that a policy which asks for another is refused. -#}
{% macro redact(field, forms) -%}
    {%- do config(meta={'forms_' ~ field: forms.keys() | list}) -%}
    case {{ field }}_action
        {%- for action, expression in forms.items() %}
        when '{{ action }}' then {{ expression }}
        {%- endfor %}
    end
{%- endmacro %}
