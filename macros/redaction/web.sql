{#- What remains of a visit: words of the path, the channel of the referrer, the family of the browser. -#}

{#- Path only, and of the path only the words that the vocabulary lists: no host, no name and password before it, no
    query, no fragment. -#}
{% macro strip_url(url, words) -%}
    {{ known_segments(replaced(replaced(url, '(?s)[?#].*$', ''), '^[A-Za-z][A-Za-z0-9+.-]*:(//[^/]*)?', ''), '/', words) }}
{%- endmacro %}

{#- Where a visit came from, as a channel. -#}
{% macro referrer_channel(referrer) -%}
    case
        when {{ referrer }} is null then null
        when {{ matches(referrer, '(?i)^https?://([a-z0-9-]+[.])*(google|bing|duckduckgo|yahoo|baidu|yandex|ecosia)[.]') }} then 'search'
        when {{ matches(referrer, '(?i)^https?://([a-z0-9-]+[.])*(facebook|instagram|linkedin|twitter|x|reddit|youtube|tiktok|t)[.](com|co)(/|$)') }} then 'social'
        when {{ matches(referrer, '(?i)^https?://(mail|webmail|outlook)[.]') }} then 'mail'
        else 'other'
    end
{%- endmacro %}

{% macro user_agent_family(user_agent) -%}
    case
        when {{ user_agent }} is null then null
        when {{ matches(user_agent, '(?i)(bot|crawler|spider|curl|wget|python-requests)') }} then 'robot'
        when {{ matches(user_agent, 'Edg[eA]?/|EdgiOS/') }} then 'edge'
        when {{ matches(user_agent, 'OPR/|Opera') }} then 'opera'
        when {{ matches(user_agent, 'Firefox/|FxiOS/') }} then 'firefox'
        when {{ matches(user_agent, 'Chrome/|CriOS/|Chromium/') }} then 'chrome'
        when {{ matches(user_agent, 'Safari/') }} then 'safari'
        else 'other'
    end
{%- endmacro %}
