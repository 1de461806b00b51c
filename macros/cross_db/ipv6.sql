{#- The network of an IPv6 address, in one spelling; NULL for what is none. -#}
{% macro ipv6_network(ip) -%}
    {{ return(adapter.dispatch('ipv6_network', 'quorum')(ip)) }}
{%- endmacro %}

{% macro duckdb__ipv6_network(ip) -%}
    {{ named(duckdb__ipv6_groups(ip), 'groups', duckdb__network_of_groups('groups')) }}
{%- endmacro %}

{#- The eight groups of an IPv6 address, without leading zeros; NULL for what is none. -#}
{% macro duckdb__ipv6_groups(ip) -%}
    {%- set group = '[0-9a-f]{1,4}(?::[0-9a-f]{1,4})*' -%}
    {%- set halves -%}
        {{ mapped("string_split(address, '::')", 'half', "case when half = '' then [] else string_split(half, ':') end") }}
    {%- endset -%}
    {%- set groups -%}
        case
            when len(halves) = 1 and len(halves[1]) = 8 then halves[1]
            when len(halves) = 2 and len(halves[1]) + len(halves[2]) < 8
                then list_concat(list_resize(halves[1], 8 - len(halves[2]), '0'), halves[2])
        end
    {%- endset -%}
    {{ named(duckdb__ipv6_plain(ip), 'address', "case when " ~ matches('address', '^(' ~ group ~ ')?(::(' ~ group ~ ')?)?$')
        ~ " then " ~ mapped(named(halves, 'halves', groups), 'digits', "coalesce(nullif(ltrim(digits, '0'), ''), '0')") ~ " end") }}
{%- endmacro %}

{#- fe80::1%eth0 becomes fe80::1, and ::ffff:203.0.113.9 becomes ::ffff:cb00:7109. -#}
{% macro duckdb__ipv6_plain(ip) -%}
    {%- set byte = '(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])' -%}
    {{ named(
        replaced('lower(' ~ ip ~ ')', '%[^%]+$', ''), 'zoneless',
        "case when zoneless like '%.%' then "
        ~ named(
            mapped("string_split(nullif(" ~ first_match('zoneless', ':(' ~ byte ~ '(?:[.]' ~ byte ~ '){3})$') ~ ", ''), '.')", 'octet', 'cast(octet as integer)'),
            'octets',
            replaced('zoneless', '[0-9.]+$', '')
            ~ " || format('{:x}:{:x}', octets[1] * 256 + octets[2], octets[3] * 256 + octets[4])"
        )
        ~ " else zoneless end"
    ) }}
{%- endmacro %}

{#- /48 of the address; but of an address that holds an IPv4 address in its first half or says that it is one
    (6to4, mapped), /24 of that one: its /48 would hold all of it, or nothing. -#}
{% macro duckdb__network_of_groups(groups) -%}
    case
        when array_to_string({{ groups }}[1:6], ':') = '0:0:0:0:0:ffff' then {{ duckdb__ipv4_network(groups ~ '[7]', groups ~ '[8]') }}
        when {{ groups }}[1] = '2002' then {{ duckdb__ipv4_network(groups ~ '[2]', groups ~ '[3]') }}
        else array_to_string({{ groups }}[1:3], ':') || '/48'
    end
{%- endmacro %}

{% macro duckdb__ipv4_network(high, low) -%}
    {%- set number = "cast('0x' || " ~ high ~ " as integer)" -%}
    ({{ number }} >> 8) || '.' || ({{ number }} & 255) || '.' || (cast('0x' || {{ low }} as integer) >> 8) || '/24'
{%- endmacro %}
