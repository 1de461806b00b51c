"""Files in, batch by batch, until every row is accounted for."""

from collections.abc import Callable, Iterable
from datetime import date

import duckdb
import pyarrow as pa

from quorum import catalog, erased_rows, landing_queue, settings, warehouse
from quorum.landing import Landing, Problem, told
from quorum.runner import Dbt
from quorum.workspace import Workspace

CONTROL = pa.schema([("as_of", pa.date32()), ("rebuild_from", pa.date32()), ("rebuild_to", pa.date32())])

# Files whose rows repeat an event that another file brought: where that one is read anew, they may win. Rows that
# wait already need no reading.
REPEATED = """
select distinct duplicates.landing_file
from int_duplicates as duplicates
inner join tenant.int_events as events using (tenant_key, unit_key, event_key)
inner join landing_files as files on files.landing_file = duplicates.landing_file and files.state = 'read'
where {brought}
and not exists (
    from landing_rows as waiting
    where waiting.landing_file = duplicates.landing_file and waiting.landing_row = duplicates.landing_row
)
"""
IN_RANGE = """
select landing_file from tenant.int_events where occurred_at >= $first and occurred_at < $last + interval 1 day
union
select landing_file from int_quarantine where occurred_at >= $first and occurred_at < $last + interval 1 day
"""
REPLACED = "events.landing_file in (select landing_file from landing_files where state = 'replaced')"


def write_clock(connection: duckdb.DuckDBPyConnection, as_of: date, rebuild: tuple[date, date] | None = None) -> None:
    """Tell SQL the as-of day, and which days of events are to be built anew (first and last, UTC)."""
    first, last = rebuild or (None, None)
    row = {"as_of": as_of, "rebuild_from": first, "rebuild_to": last}
    warehouse.replace(connection, "run_control", pa.Table.from_pylist([row], CONTROL))


def queue_new_files(workspace: Workspace, dbt: Dbt) -> list[Problem]:
    """Put the rows of new files into the queue, and quarantined rows whose reason has passed."""
    rewriting = catalog.rewriting_formats(dbt.manifest())
    with warehouse.opened(workspace, "restricted") as connection:
        landing_queue.requeue_curable(connection)
        [(as_of,)] = connection.execute("select as_of from run_control").fetchall()
        landing = Landing(connection, workspace.landing, settings.batch_rows(), rewriting, as_of)
        landing.load(settings.formats())
        _read_repeats(workspace, connection, landing)
        return landing.problems


def queue_again(workspace: Workspace, first: date, last: date) -> list[Problem]:
    """Put the rows of every file with an event between two UTC days into the queue once more."""
    with warehouse.opened(workspace, "restricted") as connection:
        landing = Landing(connection, workspace.landing, settings.batch_rows())
        days = {"first": first, "last": last}
        files = _found(workspace, connection, IN_RANGE, days)
        in_range = f"events.landing_file in ({IN_RANGE})"
        landing.load_again(files | _found(workspace, connection, REPEATED.format(brought=in_range), days))
        _read_repeats(workspace, connection, landing)
        return landing.problems


def work_off(
    workspace: Workspace,
    dbt: Dbt,
    make_keys: Callable[[set[str]], None],
    registered: Iterable[str],
    progress: Callable[[str], None],
) -> None:
    """Judge and redact what is queued, a batch at a time. A first night builds the relations, whatever is queued."""
    with warehouse.opened(workspace, "restricted") as connection:
        landing = Landing(connection, workspace.landing, settings.batch_rows())
        # the first batch takes away what files that were written anew had brought, and a night that withdrew one may
        # have died before it came to this
        _read_repeats(workspace, connection, landing)
    for problem in told(landing.problems):
        progress(problem)
    batch: int | None = 0
    further = ""
    while batch is not None:
        with warehouse.opened(workspace, "restricted") as connection:
            following = landing_queue.next_batch(connection, batch, settings.batch_rows())
            if following is None and (batch or _is_done(connection)):
                return
            rows = landing_queue.rows_in_work(connection)
        progress(f"typing and judging {rows:,} rows")
        dbt.build(f"landed{further}", "tenant")
        with warehouse.opened(workspace, "restricted", read_only=True) as connection:
            found = connection.execute(
                "select distinct tenant_id from int_events_landed where reason is null"
            ).fetchall()
        # keys come before tokens: every tenant on the registry and every one that has just landed
        make_keys({*registered, *(tenant_id for (tenant_id,) in found)})
        progress("redacting them")
        dbt.build(f"redacted{further}", "tenant")
        with warehouse.opened(workspace, "restricted") as connection:
            erased_rows.collect(connection)
            landing_queue.commit(connection)
        batch, further = following, "_again"


def _read_repeats(workspace: Workspace, connection: duckdb.DuckDBPyConnection, landing: Landing) -> None:
    """Queue the rows that repeat an event of a file that was written anew: one of them may be the event now."""
    if _awaits_withdrawal(connection) and (files := _found(workspace, connection, REPEATED.format(brought=REPLACED))):
        landing.load_again(files)


def _awaits_withdrawal(connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether what a file brought has still to go, since it was written anew."""
    return connection.execute("select 1 from landing_files where state = 'replaced'").fetchone() is not None


def _is_done(connection: duckdb.DuckDBPyConnection) -> bool:
    return warehouse.has(connection, "gov_landing_accounting") and not _awaits_withdrawal(connection)


def _found(
    workspace: Workspace, connection: duckdb.DuckDBPyConnection, query: str, days: dict[str, date] | None = None
) -> set[str]:
    """Return the files that a query over the restricted and the tenant plane finds."""
    if not warehouse.has(connection, "int_duplicates"):
        return set()
    with warehouse.beside(connection, workspace, "tenant"):
        return {landing_file for (landing_file,) in connection.execute(query, days or {}).fetchall()}
