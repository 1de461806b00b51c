{#- The network of an address, /24 or /48, in one spelling for all spellings of the address; NULL for what is none.
    203.0.113.9 becomes 203.0.113/24; 2001:DB8:1::9%eth0 becomes 2001:db8:1/48. -#}
{% macro truncate_ip(ip) -%}
    {%- set byte = '(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])' -%}
    case
        when {{ ip }} not like '%:%'
            then nullif({{ first_match(ip, '^((?:' ~ byte ~ '[.]){2}' ~ byte ~ ')[.]' ~ byte ~ '$') }}, '') || '/24'
        else {{ ipv6_network(ip) }}
    end
{%- endmacro %}
