{#- Instants are UTC timestamps without a zone; a text with an offset is moved to UTC, one without is UTC. -#}
{% macro utc_timestamp(text) -%}
    {{ return(adapter.dispatch('utc_timestamp', 'quorum')(text)) }}
{%- endmacro %}

{% macro duckdb__utc_timestamp(text) -%}
    cast(try_cast({{ text }} as timestamptz) at time zone 'UTC' as timestamp)
{%- endmacro %}

{#- A number since 1970 as an instant; its size tells seconds, milliseconds and microseconds apart (up to the year 5138). -#}
{% macro epoch_timestamp(text) -%}
    {{ return(adapter.dispatch('epoch_timestamp', 'quorum')(text)) }}
{%- endmacro %}

{% macro duckdb__epoch_timestamp(text) -%}
    {%- set number = 'try_cast(' ~ text ~ ' as decimal(26, 6))' -%}
    make_timestamp(cast(case
        when abs({{ number }}) < 1e11 then {{ number }} * 1000000
        when abs({{ number }}) < 1e14 then {{ number }} * 1000
        when abs({{ number }}) < 1e17 then {{ number }}
    end as bigint))
{%- endmacro %}

{% macro local_date(instant, zone) -%}
    {{ return(adapter.dispatch('local_date', 'quorum')(instant, zone)) }}
{%- endmacro %}

{% macro duckdb__local_date(instant, zone) -%}
    cast(({{ instant }} at time zone 'UTC') at time zone {{ zone }} as date)
{%- endmacro %}

{#- The UTC instant at which a calendar day begins in a zone. -#}
{% macro local_midnight(day, zone) -%}
    {{ return(adapter.dispatch('local_midnight', 'quorum')(day, zone)) }}
{%- endmacro %}

{% macro duckdb__local_midnight(day, zone) -%}
    cast((cast({{ day }} as timestamp) at time zone {{ zone }}) at time zone 'UTC' as timestamp)
{%- endmacro %}

{% macro microseconds_between(earlier, later) -%}
    {{ return(adapter.dispatch('microseconds_between', 'quorum')(earlier, later)) }}
{%- endmacro %}

{% macro duckdb__microseconds_between(earlier, later) -%}
    (epoch_us({{ later }}) - epoch_us({{ earlier }}))
{%- endmacro %}

{#- Days from one date to another, a whole number. -#}
{% macro days_between(earlier, later) -%}
    {{ return(adapter.dispatch('days_between', 'quorum')(earlier, later)) }}
{%- endmacro %}

{% macro duckdb__days_between(earlier, later) -%}
    ({{ later }} - {{ earlier }})
{%- endmacro %}

{% macro days_from(first_day, last_day) -%}
    {{ return(adapter.dispatch('days_from', 'quorum')(first_day, last_day)) }}
{%- endmacro %}

{% macro duckdb__days_from(first_day, last_day) -%}
    (select cast(day as date) as calendar_date
    from generate_series(date '{{ first_day }}', date '{{ last_day }}', interval 1 day) as days (day))
{%- endmacro %}

{#- DuckDB's instants reach far beyond the years 1 to 9999, and to infinity; arithmetic on those overflows, and other
    engines cannot hold them. No rule tells them from the nearest that can be held. -#}
{% macro within_calendar(instant) -%}
    case
        when {{ instant }} < timestamp '0001-01-01' then timestamp '0001-01-01'
        when {{ instant }} > timestamp '9999-12-31' then timestamp '9999-12-31'
        else {{ instant }}
    end
{%- endmacro %}

{#- The hour, or the day, in which an instant lies. -#}
{% macro truncated_instant(instant, unit) -%}
    {{ return(adapter.dispatch('truncated_instant', 'quorum')(instant, unit)) }}
{%- endmacro %}

{% macro duckdb__truncated_instant(instant, unit) -%}
    {#- a calendar day and no month: its type would be date otherwise -#}
    cast(date_trunc('{{ unit }}', {{ instant }}) as timestamp)
{%- endmacro %}

{#- An instant as text, `2026-03-28T10:00:00Z`. -#}
{% macro instant_text(instant) -%}
    {{ return(adapter.dispatch('instant_text', 'quorum')(instant)) }}
{%- endmacro %}

{% macro duckdb__instant_text(instant) -%}
    strftime({{ instant }}, '%Y-%m-%dT%H:%M:%SZ')
{%- endmacro %}

{#- The first day of the week that a day lies in, for weeks that begin on a weekday such as `monday`. -#}
{% macro week_start(day, first_weekday) -%}
    {{ return(adapter.dispatch('week_start', 'quorum')(day, first_weekday)) }}
{%- endmacro %}

{% macro duckdb__week_start(day, first_weekday) -%}
    {%- set weekdays = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'] -%}
    {{ day }} - cast((isodow({{ day }}) + 7 - list_position({{ weekdays }}, {{ first_weekday }})) % 7 as integer)
{%- endmacro %}

{#- An instant some hours later. -#}
{% macro hours_after(instant, hours) -%}
    {{ return(adapter.dispatch('hours_after', 'quorum')(instant, hours)) }}
{%- endmacro %}

{% macro duckdb__hours_after(instant, hours) -%}
    ({{ instant }} + to_hours(cast({{ hours }} as bigint)))
{%- endmacro %}
