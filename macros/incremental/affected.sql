{#- Whether a row of `kept` is affected, by a model's meta: `affected_when` matches it to one of `affected`. `affected_from` names a column of `kept`
    and the one of `affected` that it never lies before: it says nothing more, but lets the engine skip the history before the batch. -#}
{% macro is_affected(meta, affecting) -%}
    {%- if meta['affected_from'] -%}
        {%- set column, beginning = meta['affected_from'] -%}
        kept.{{ column }} >= (select min({{ beginning }}) from {{ affecting }})
        and {% endif -%}
    exists (select 1 from {{ affecting }} as affected where {{ meta['affected_when'] }})
{%- endmacro %}

{#- An import: of a relation that is matched as the model itself is, what the batch affects; all of it in a full build. The model
    imports `affected` beside it. -#}
{% macro of_affected(relation) -%}
    select kept.* from {{ relation }} as kept
    {%- if is_incremental() %}
    where {{ is_affected(config.get('meta'), 'affected') }}
    {%- endif %}
{%- endmacro %}

{#- The meta of an incremental model that follows what is affected, with that relation as `affecting`; none where all is affected, be it
    by a full build or because it reaches back to the first row: that is looked at as a whole. -#}
{% macro what_affects(model) -%}
    {%- set built = namespace(meta=none) -%}
    {%- if not flags.FULL_REFRESH -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name == model.identifier and node.config.meta.affected_by -%}
            {%- for affecting in graph.nodes.values() if affecting.resource_type == 'model' and affecting.name == node.config.meta.affected_by -%}
                {%- set relation = api.Relation.create(affecting.database, affecting.schema, affecting.alias) -%}
                {%- if not reaches_back(model, node.config.meta, relation) -%}
                    {%- set built.meta = dict(node.config.meta, affecting=relation) -%}
                {%- endif -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(built.meta) }}
{%- endmacro %}

{#- Whether it takes more than the key to tell if a row is affected. -#}
{% macro is_matched_beyond(meta, columns) -%}
    {{ return(modules.re.findall('kept\\.(\\w+)', meta['affected_when']) | reject('in', columns) | list | length > 0) }}
{%- endmacro %}

{#- Whether what is affected begins no later than the relation does; also where nothing is built yet, and `dbt compile` looks. -#}
{% macro reaches_back(model, meta, affecting) -%}
    {%- if not meta['affected_from'] -%}
        {{ return(false) }}
    {%- endif -%}
    {%- for relation in (model, affecting) -%}
        {%- if adapter.get_relation(relation.database, relation.schema, relation.identifier) is none -%}
            {{ return(true) }}
        {%- endif -%}
    {%- endfor -%}
    {%- set column, beginning = meta['affected_from'] -%}
    {%- set compared = run_query(
        'select (select min(' ~ beginning ~ ') from ' ~ affecting ~ ') <= (select min(' ~ column ~ ') from ' ~ model ~ ')'
    ) -%}
    {{ return(compared.rows[0][0]) }}
{%- endmacro %}
