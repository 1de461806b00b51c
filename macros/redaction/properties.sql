{#- JSON of the properties that the policy lists, each in the form that suits its class; nothing else of the input. -#}
{% macro allow_listed_json(json, rules) -%}
    {%- set written = "to_json(rule.property) || ':' || " ~ property_form('rule', 'found') -%}
    {%- set pair = named(property_value(json, 'rule'), 'raw', 'case when raw is not null then ' ~ named(decoded('raw'), 'found', written) ~ ' end') -%}
    '{' || array_to_string({{ filtered(mapped(rules, 'rule', pair), 'pair', 'pair is not null') }}, ',') || '}'
{%- endmacro %}

{#- What a value becomes under a rule, as JSON; no form for its class and action, no passage. Each form is an expression of
    its own over a list of one: an engine that runs lambdas makes ready all that stands in them, batch by batch, and most
    forms are not called for. -#}
{% macro property_form(rule, value) -%}
    case {{ rule }}.decision
        {%- for decision, expression in bare_forms('plain').items() %}
        when '{{ decision }}' then {{ named(value, 'plain', expression) }}
        {%- endfor %}
        {%- for decision, expression in text_forms(rule, 'plain').items() %}
        when '{{ decision }}' then {{ named(value, 'plain', 'to_json(' ~ expression ~ ')') }}
        {%- endfor %}
    end
{%- endmacro %}

{#- Forms that JSON writes without quotes. Not SQL: expression by class and action. -#}
{% macro bare_forms(value) -%}
    {{ return({
        'flag keep': 'cast(try_cast(' ~ value ~ ' as boolean) as varchar)',
        'quantity keep': 'cast(' ~ small_integer(value, 999999) ~ ' as varchar)',
        'quantity coarsen': two_digits_of_text(value),
        'amount coarsen': two_digits_of_text(value),
        'geography coarsen': whole_degrees(value),
    }) }}
{%- endmacro %}

{#- Forms that are texts. Not SQL: expression by class and action. -#}
{% macro text_forms(rule, value) -%}
    {%- set words = rule ~ '.words' -%}
    {%- set instant = utc_timestamp(value) -%}
    {{ return({
        'label keep': listed_word(value, words),
        'label keep_listed': listed_word(value, words),
        'time keep': instant_text(instant),
        'time coarsen': instant_text(truncated_instant(instant, 'hour')),
        'time generalise': instant_text(truncated_instant(instant, 'day')),
        'url strip': strip_url(value, words),
        'url generalise': referrer_channel(value),
        'ip_address truncate': truncate_ip(value),
        'user_agent generalise': user_agent_family(value),
        'geography keep': country_code(value),
        'geography generalise': country_code(value),
        'identifier tokenise': tokenise(value, 'identifier'),
        'identifier tokenise_exact': tokenise(value, 'identifier', case_matters=true),
        'email tokenise': email_token(value),
        'email generalise': email_domain_class(value),
        'phone tokenise': phone_token(value),
        'phone generalise': calling_code(value),
        'free_text scrub': scrub(value),
    }) }}
{%- endmacro %}
