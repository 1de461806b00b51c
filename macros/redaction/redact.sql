{#- What a field becomes under its policy. `forms` maps each action that suits the field to an expression.
    Default deny: no policy, or an action that is not among the forms, gives NULL. -#}
{% macro redact(field, forms) -%}
    case {{ field }}_action
        {%- for action, expression in forms.items() %}
        when '{{ action }}' then {{ expression }}
        {%- endfor %}
    end
{%- endmacro %}
