{#- JSON of the properties that the policy lists, each in the form that suits its class; nothing else of the input. -#}
{% macro allow_listed_json(json, rules) -%}
    {%- set pair = named(property_value(json, 'rule'), 'raw', 'case when raw is not null then ' ~ named(decoded('raw'), 'found', found_pair('rule', 'found')) ~ ' end') -%}
    {%- set written = named(mapped(rules, 'rule', pair), 'pairs', written_pairs('pairs')) -%}
    '{' || array_to_string({{ filtered(written, 'pair', 'pair is not null') }}, ',') || '}'
{%- endmacro %}

{#- A list of three texts: the name as JSON, the form as JSON, and the value where it is a free text that has yet to be
    scrubbed. Its patterns are many: it waits for the rows that have one, which fill fewer batches than all the rules. -#}
{% macro found_pair(rule, value) -%}
    [{{ rule }}.written || ':', {{ property_form(rule, value) }}, case when {{ rule }}.decision = 'free_text scrub' then {{ value }} end]
{%- endmacro %}

{#- The members of the JSON object, NULL for what does not pass. -#}
{% macro written_pairs(pairs) -%}
    {%- set name, form, free_text = element('pair', 1), element('pair', 2), element('pair', 3) -%}
    {%- set scrubbed_form = named(free_text, 'free_text', json_text(scrub('free_text'))) -%}
    case
        when {{ list_length(filtered(pairs, 'pair', free_text ~ ' is not null')) }} > 0
            then {{ mapped(pairs, 'pair', name ~ ' || case when ' ~ free_text ~ ' is null then ' ~ form ~ ' else ' ~ scrubbed_form ~ ' end') }}
        else {{ mapped(pairs, 'pair', name ~ ' || ' ~ form) }}
    end
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
    }) }}
{%- endmacro %}
