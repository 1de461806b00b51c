{#- Coarse forms of fields that would single a person out. Each gives NULL for what it does not know. -#}

{#- 203.0.113.9 becomes 203.0.113/24; 2001:db8:1:2::9 becomes 2001:db8:1/48. -#}
{% macro truncate_ip(ip) -%}
    {#- An address in full, or shortened after its third group: a telephone number written with dots or colons is none. -#}
    {%- set byte, group = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])', '[0-9a-fA-F]{1,4}' -%}
    case
        when regexp_full_match({{ ip }}, '({{ byte }}\.){3}{{ byte }}')
            then regexp_extract({{ ip }}, '^(([0-9]{1,3}[.]){2}[0-9]{1,3})', 1) || '/24'
        when regexp_full_match({{ ip }}, '({{ group }}:){7}({{ group }}|:)
            {%- for n in range(3, 7) %}|({{ group }}:){{ '{' ~ n ~ '}' }}(:|(:{{ group }}){1,{{ 7 - n }}}){% endfor %}')
            then lower(regexp_extract({{ ip }}, '^(([0-9a-fA-F]{1,4}:){2}[0-9a-fA-F]{1,4})', 1)) || '/48'
    end
{%- endmacro %}

{#- An ISO 3166 code, or nothing. -#}
{% macro country_code(country) -%}
    case when {{ matches(country, '^[A-Z]{2}$') }} then {{ country }} end
{%- endmacro %}

{#- A word that the vocabulary lists, else `otherwise`. -#}
{% macro listed_word(value, words, otherwise='null') -%}
    case when {{ in_words(value, words) }} then {{ value }} else {{ otherwise }} end
{%- endmacro %}

{#- Path only, and of the path only the words that the vocabulary lists. -#}
{% macro strip_url(url, words) -%}
    {{ known_segments("regexp_replace(regexp_replace(" ~ url ~ ", '[?#].*$', ''), '^[A-Za-z][A-Za-z0-9+.-]*:(//[^/]*)?', '')", '/', words) }}
{%- endmacro %}

{#- Where a visit came from, as a channel. -#}
{% macro referrer_channel(referrer) -%}
    case
        when {{ referrer }} is null then null
        when {{ matches(referrer, '^https?://([a-z0-9-]+[.])*(google|bing|duckduckgo|yahoo|baidu|yandex|ecosia)[.]') }} then 'search'
        when {{ matches(referrer, '^https?://([a-z0-9-]+[.])*(facebook|instagram|linkedin|twitter|x|reddit|youtube|tiktok|t)[.](com|co)(/|$)') }} then 'social'
        when {{ matches(referrer, '^https?://(mail|webmail|outlook)[.]') }} then 'mail'
        else 'other'
    end
{%- endmacro %}

{% macro user_agent_family(user_agent) -%}
    case
        when {{ user_agent }} is null then null
        when {{ matches(user_agent, '(?i)(bot|crawler|spider|curl|wget|python-requests)') }} then 'robot'
        when {{ matches(user_agent, 'Edg[eA]?/') }} then 'edge'
        when {{ matches(user_agent, 'OPR/|Opera') }} then 'opera'
        when {{ matches(user_agent, 'Firefox/|FxiOS/') }} then 'firefox'
        when {{ matches(user_agent, 'Chrome/|CriOS/|Chromium/') }} then 'chrome'
        when {{ matches(user_agent, 'Safari/') }} then 'safari'
        else 'other'
    end
{%- endmacro %}
