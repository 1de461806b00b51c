{#- JSON of the properties that the policy lists, each in the form that suits its class; nothing else of the input. -#}
{% macro allow_listed_json(json, rules) -%}
    {%- set written = "rule.written || ':' || " ~ property_form('rule', 'found') -%}
    {%- set pair = named(property_value(json, 'rule'), 'raw', 'case when raw is not null then ' ~ named(decoded('raw'), 'found', written) ~ ' end') -%}
    '{' || array_to_string({{ filtered(mapped(rules, 'rule', pair), 'pair', 'pair is not null') }}, ',') || '}'
{%- endmacro %}

{#- What a value becomes under a rule, as JSON; no form for its class and action, no passage. The forms that are called for
    most stand first, and the others inside a list of one, each: an engine that runs lambdas makes ready all that stands in
    one, batch by batch, but not what stands in a further one that it does not come to. -#}
{% macro property_form(rule, value) -%}
    {%- set rare -%}
        case {{ rule }}.decision
            {%- for decision, expression in rare_forms(rule, 'plain').items() %}
            when '{{ decision }}' then {{ named('undecided', 'plain', expression) }}
            {%- endfor %}
        end
    {%- endset -%}
    case {{ rule }}.decision
        {%- for decision, expression in common_forms(rule, value).items() %}
        when '{{ decision }}' then {{ expression }}
        {%- endfor %}
        else {{ named(value, 'undecided', rare) }}
    end
{%- endmacro %}

{#- Not SQL: JSON by class and action. -#}
{% macro common_forms(rule, value) -%}
    {{ return({
        'flag keep': 'cast(try_cast(' ~ value ~ ' as boolean) as varchar)',
        'quantity keep': 'cast(' ~ small_integer(value, 999999) ~ ' as varchar)',
        'label keep': json_text(listed_word(value, rule ~ '.words')),
        'label keep_listed': json_text(listed_word(value, rule ~ '.words')),
    }) }}
{%- endmacro %}

{#- Not SQL: JSON by class and action. -#}
{% macro rare_forms(rule, value) -%}
    {%- set instant = utc_timestamp(value) -%}
    {{ return({
        'quantity coarsen': two_digits_of_text(value),
        'amount coarsen': two_digits_of_text(value),
        'geography coarsen': whole_degrees(value),
        'time keep': json_text(instant_text(instant)),
        'time coarsen': json_text(instant_text(truncated_instant(instant, 'hour'))),
        'time generalise': json_text(instant_text(truncated_instant(instant, 'day'))),
        'url strip': json_text(strip_url(value, rule ~ '.words')),
        'url generalise': json_text(referrer_channel(value)),
        'ip_address truncate': json_text(truncate_ip(value)),
        'user_agent generalise': json_text(user_agent_family(value)),
        'geography keep': json_text(country_code(value)),
        'geography generalise': json_text(country_code(value)),
        'identifier tokenise': json_text(tokenise(value, 'identifier')),
        'identifier tokenise_exact': json_text(tokenise(value, 'identifier', case_matters=true)),
        'email tokenise': json_text(email_token(value)),
        'email generalise': json_text(email_domain_class(value)),
        'phone tokenise': json_text(phone_token(value)),
        'phone generalise': json_text(calling_code(value)),
        'free_text scrub': json_text(scrub(value)),
    }) }}
{%- endmacro %}
