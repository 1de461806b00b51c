"""Rows that are to be forgotten: relations of the restricted plane that say which, and how they leave the warehouse.

A row that is marked is read again, and nothing is there: it stands in the queue without its text, ends in quarantine
as ``erased`` or ``expired``, and whatever it brought makes way. So the accounting stays whole, and everything
downstream follows as it follows any change. ``landing_erased`` is what keeps a file from bringing it back.
"""

from datetime import date

import duckdb

from quorum import settings, warehouse

ERASED = "erased"
EXPIRED = "expired"

SCHEMA = """
create table if not exists landing_erased (
    landing_file varchar not null,
    landing_row bigint not null,
    reason varchar not null
);
create table if not exists erased_subjects (
    tenant_subject varchar not null,
    subject varchar not null,
    erased_before timestamp not null
);
create table if not exists erased_tenants (
    tenant_key varchar not null
);
-- what a file holds since rows were taken out of it
create table if not exists landing_contents (
    content varchar primary key,
    landing_file varchar not null
);
create table if not exists landing_blanked (
    path varchar primary key,
    row_count bigint not null
);
create table if not exists landing_in_rewriting (
    path varchar not null,
    landing_file varchar not null,
    row_count bigint not null
);
-- of which tenant's days events were forgotten since what is kept of them outside of dbt has followed
create table if not exists forgotten_days (
    tenant_key varchar not null,
    first_day date not null,
    last_day date not null
);
create table if not exists forgetting_due (
    since date not null,
    is_urgent boolean not null
);
"""

# Relations of one batch, or of one build: whatever they hold has been followed when it ends.
PASSING = {
    "restricted": (
        "int_events_landed",
        "int_events_redacted",
        "int_quota_ranks",
        "int_events_won",
        "int_events_displaced",
        "int_batch_rows",
        "gov_landed_properties",
        "gov_landed_fields",
    ),
    "tenant": (
        "int_affected_identities",
        "int_affected_units",
        "int_affected_activity",
        "int_affected_sessions",
        "int_affected_person_days",
        "int_affected_days",
        "int_affected_windows",
        "int_affected_tenants",
        "int_affected_weeks",
        "int_affected_attempts",
        "int_affected_conversion_weeks",
    ),
}

# Marked rows that wait in the queue lose their text there and keep their place.
QUEUE = """
insert into landing_rows
select
    next_batch + (row_number() over (order by landing_file, landing_row) - 1) // $batch_rows,
    next_position + row_number() over (order by landing_file, landing_row) - 1,
    landing_file,
    landing_row,
    files.source_format,
    files.folder_tenant,
    true,
    null,
    $reason
from marked
inner join landing_files as files using (landing_file)
cross join landing_counters
where not exists (
    from landing_rows as waiting
    where waiting.landing_file = marked.landing_file and waiting.landing_row = marked.landing_row
)
"""

# Needs the tenant plane beside the restricted one.
DAYS = """
insert into forgotten_days
select events.tenant_key, min(cast(events.occurred_at as date)), max(cast(events.occurred_at as date))
from tenant.int_events as events
inner join marked using (landing_file, landing_row)
group by events.tenant_key
"""


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the relations."""
    connection.execute(SCHEMA)


def mark(connection: duckdb.DuckDBPyConnection, reason: str, as_of: date) -> int:
    """Mark the rows of the temporary relation ``marked``; return how many were not marked before.

    The caller holds the transaction, and shows the tenant plane. No batch may be in work.
    """
    connection.execute(
        "delete from marked using landing_erased as erased "
        "where marked.landing_file = erased.landing_file and marked.landing_row = erased.landing_row"
    )
    [(count,)] = connection.execute("select count(*) from marked").fetchall()
    if not count:
        return 0
    connection.execute(
        "update landing_rows set line = null, defect = ? from marked "
        "where landing_rows.landing_file = marked.landing_file and landing_rows.landing_row = marked.landing_row",
        [reason],
    )
    connection.execute(QUEUE, {"reason": reason, "batch_rows": settings.batch_rows()})
    connection.execute(
        "update landing_counters set "
        "next_position = greatest(next_position, (select coalesce(max(position), 0) + 1 from landing_rows)), "
        "next_batch = greatest(next_batch, (select coalesce(max(batch), 0) + 1 from landing_rows))"
    )
    connection.execute("insert into landing_erased select landing_file, landing_row, ? from marked", [reason])
    connection.execute(DAYS)
    call_for(connection, as_of, urgent=reason == ERASED)
    return int(count)


def collect(connection: duckdb.DuckDBPyConnection) -> None:
    """Mark the rows of the batch in work that were judged to be forgotten: they are still in their files."""
    connection.begin()
    found = connection.execute(
        "insert into landing_erased select landing_file, landing_row, reason from int_events_landed as landed "
        "where reason in ('erased', 'expired') and not exists (from landing_erased as erased "
        "where erased.landing_file = landed.landing_file and erased.landing_row = landed.landing_row) "
        "returning reason"
    ).fetchall()
    if found:
        [(as_of,)] = connection.execute("select as_of from run_control").fetchall()
        call_for(connection, as_of, urgent=(ERASED,) in found)
    connection.commit()


def call_for(connection: duckdb.DuckDBPyConnection, as_of: date, *, urgent: bool) -> None:
    """Ask for the files to be written anew, at the end of this night or, unless it is urgent, within a week."""
    connection.execute("insert into forgetting_due values (?, ?)", [as_of, urgent])


def call_if_returned(connection: duckdb.DuckDBPyConnection, landing_file: str, path: str, as_of: date | None) -> None:
    """Have a file looked at whose content had rows taken out of it, and that came back under this or another name."""
    connection.execute("delete from landing_blanked where path = ?", [path])
    connection.execute(
        "insert into forgetting_due select ?, true where exists (from landing_erased where landing_file = ?)",
        [as_of, landing_file],
    )


def is_due(connection: duckdb.DuckDBPyConnection, as_of: date, patience_days: int) -> bool:
    """Tell whether the files are to be written anew now."""
    [(due,)] = connection.execute(
        "select coalesce(bool_or(is_urgent or since <= ? - ?::integer), false) from forgetting_due",
        [as_of, patience_days],
    ).fetchall()
    return bool(due)


def empty_passing(connection: duckdb.DuckDBPyConnection, plane: str) -> None:
    """Empty the relations that only hold what the last batch or build went by."""
    for relation in PASSING[plane]:
        if warehouse.has(connection, relation):
            connection.execute(f"delete from {relation}")
