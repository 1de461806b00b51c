"""Lines of rows that are to be erased, read once more: as staging sees them, and for the names that only they hold.

``read_lines`` holds them, in the transaction of a search.
"""

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from quorum import raw_files
from quorum.raw_rows import Unusable
from quorum.workspace import Workspace

# What staging would read, of rows that are in no batch.
WORK = """
create or replace view landing_work as
select
    cast(0 as bigint) as batch,
    cast(0 as bigint) as position,
    lines.landing_file,
    lines.landing_row,
    files.source_format,
    files.folder_tenant,
    false as is_again,
    lines.line,
    cast(null as varchar) as defect
from read_lines as lines
inner join landing_files as files using (landing_file)
"""

# What was only ever seen in rows that go. Between two of them others may have sent it too: it is then new when it
# is seen again.
PROPERTIES = """
delete from gov_properties as kept
using (
    select tenant_id, source_format, event_name, property, min(occurred_at) as first_at, max(occurred_at) as last_at
    from (
        select
            clocked.*,
            unnest(list_append(coalesce(json_keys(clocked.properties), []), null)) as property
        from int_events_clocked as clocked
        semi join found using (landing_file, landing_row)
    )
    group by all
) as gone
where kept.tenant_id = gone.tenant_id
and kept.source_format = gone.source_format
and kept.event_name is not distinct from gone.event_name
and kept.property is not distinct from gone.property
and kept.first_seen_at >= gone.first_at
and kept.last_seen_at <= gone.last_at
"""

# Names of fields that nobody asked for may be somebody's. Of one that others send too nothing is lost: it is back with
# their next row.
FIELDS = """
delete from gov_fields
using (
    with lines as (
        select files.source_format, read_lines.line
        from read_lines
        inner join landing_files as files using (landing_file)
        where json_valid(read_lines.line)
    ),
    containers as (
        select distinct
            source_format,
            regexp_replace(raw_field, '[.][^.]*$', '') as parent
        from field_map
        where contains(raw_field, '.')
    )
    select source_format, unnest(json_keys(line)) as raw_field
    from lines
    union
    select
        lines.source_format,
        parent || '.' || unnest(json_keys(lines.line, '$."' || replace(parent, '.', '"."') || '"'))
    from lines
    inner join containers using (source_format)
) as sent
where gov_fields.source_format = sent.source_format
and gov_fields.raw_field = sent.raw_field
and (gov_fields.source_format, gov_fields.raw_field) not in (select source_format, raw_field from field_map)
"""


def stage(connection: duckdb.DuckDBPyConnection) -> None:
    """Show ``read_lines`` to the staging views, in place of a batch."""
    connection.execute(WORK)


def forget_properties(connection: duckdb.DuckDBPyConnection) -> None:
    """Take out of ``gov_properties`` what only the found rows sent."""
    connection.execute(PROPERTIES)


def forget_fields(connection: duckdb.DuckDBPyConnection) -> None:
    """Take out of ``gov_fields`` what they sent and staging does not read."""
    connection.execute(FIELDS)


def clear(connection: duckdb.DuckDBPyConnection) -> None:
    """Put the queue's view back as it was."""
    connection.execute("create or replace view landing_work as select * from landing_rows where false")
    connection.execute("drop table if exists read_lines")


def read(connection: duckdb.DuckDBPyConnection, workspace: Workspace) -> None:
    """Read the found rows from their files once more, as far as these are still there."""
    files = connection.execute(
        "select names.path, landing_file, list(distinct landing_row) from found "
        "inner join (select landing_file, min(path) as path from landing_names group by landing_file) as names "
        "using (landing_file) group by all"
    ).fetchall()
    connection.execute("create or replace table read_lines (landing_file varchar, landing_row bigint, line varchar)")
    for path, landing_file, rows in files:
        wanted = pa.array(rows, pa.int64())
        try:
            for table in raw_files.read(workspace.landing / path):
                lines = table.filter(pc.is_in(table["landing_row"], wanted))
                if lines.num_rows:
                    connection.register("incoming", lines)
                    connection.execute(
                        "insert into read_lines select ?, landing_row, line from incoming", [landing_file]
                    )
                    connection.unregister("incoming")
        except Unusable:
            continue
