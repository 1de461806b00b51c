{#- A plane (restricted, tenant, cross_tenant, released) is a file on DuckDB and a schema on Spark. -#}

{% macro generate_database_name(custom_database_name=none, node=none) -%}
    {{ return(adapter.dispatch('plane_database', 'quorum')(node)) }}
{%- endmacro %}

{% macro duckdb__plane_database(node) -%}
    {{ return((node.config.schema or target.database) if node else target.database) }}
{%- endmacro %}

{% macro spark__plane_database(node) -%}
    {{ return(none) }}
{%- endmacro %}

{% macro generate_schema_name(custom_schema_name=none, node=none) -%}
    {{ return(adapter.dispatch('plane_schema', 'quorum')(custom_schema_name)) }}
{%- endmacro %}

{% macro duckdb__plane_schema(plane) -%}
    {{ return('main') }}
{%- endmacro %}

{% macro spark__plane_schema(plane) -%}
    {{ return(plane or target.schema) }}
{%- endmacro %}

{#- The relation that an earlier run built, or none; of this model's plane unless another is named. For models
    that look back at themselves, or at a model downstream of them. -#}
{% macro built(model_name, plane=none) -%}
    {% if execute %}
        {{ return(adapter.get_relation(
            database=adapter.dispatch('database_of', 'quorum')(plane) if plane else this.database,
            schema=adapter.dispatch('plane_schema', 'quorum')(plane) if plane else this.schema,
            identifier=model_name
        )) }}
    {% endif %}
    {{ return(none) }}
{%- endmacro %}

{% macro duckdb__database_of(plane) -%}
    {{ return(plane) }}
{%- endmacro %}

{% macro spark__database_of(plane) -%}
    {{ return(none) }}
{%- endmacro %}
