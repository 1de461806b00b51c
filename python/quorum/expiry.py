"""Retention, every night: rows older than their tenant's ``retention_days``, and fields older than their class's.

Rows go the way of erased ones. A field's value becomes NULL in ``int_events``, and its line in ``landing/`` stays
until the row goes. Days are counted back from the end of the as-of day. Where nothing has expired, this costs a look
at the oldest instants.
"""

import json
from datetime import date

import duckdb
import pyarrow as pa

from quorum import erased_rows, warehouse
from quorum.errors import Refused
from quorum.keyring import Keyring
from quorum.workspace import Workspace

OWNERS = pa.schema([("tenant_id", pa.string()), ("tenant_key", pa.string())])

# Classes of fields that say which row it is, whose, and when: these go with the row.
NEEDED = ("identifier", "time")

# What the other fields of the contract become in `int_events`.
COLUMNS = {
    "event_name": "event_name",
    "feature": "feature",
    "url": "url_path",
    "referrer": "referrer_channel",
    "ip": "ip_network",
    "user_agent": "user_agent_family",
    "country": "country",
    "platform": "platform",
    "duration_ms": "duration_ms",
    "value_minor": "value_minor",
}

# Where an event came from. What a private release has measured goes with any other field, for it may have been read.
UNMEASURED = ("referrer_channel", "ip_network", "user_agent_family")

LIMITS = """
create or replace temp table limits as
with current as (
    select registry.tenant_id, run.as_of + 1 - registry.retention_days::integer as expired_on
    from registry_today as registry
    cross join run_control as run
)
select owners.tenant_id, owners.tenant_key, coalesce(own.expired_on, fallback.expired_on) as expired_on
from owners
left join current as own on owners.tenant_id = own.tenant_id
left join current as fallback on fallback.tenant_id = '*'
where coalesce(own.expired_on, fallback.expired_on) is not null
union all
select current.tenant_id, null, current.expired_on from current
where current.tenant_id not in (select tenant_id from owners)
"""

# A duplicate goes with its event: it counts as one only while that can be shown. A row that was refused may have no
# time, or one to come: it is at least as old as the night that took its file.
EXPIRED = """
create or replace temp table marked as
with events as (
    select events.landing_file, events.landing_row, events.tenant_key, events.unit_key, events.event_key
    from tenant.int_events as events
    inner join limits on events.tenant_key = limits.tenant_key and events.occurred_at < limits.expired_on
    where events.occurred_at < (select max(expired_on) from limits)
),
refused as (
    select
        quarantine.landing_file,
        quarantine.landing_row,
        least(
            case when quarantine.occurred_at >= timestamp '1990-01-01' then quarantine.occurred_at end,
            quarantine.received_at,
            files.landed_on
        ) as known_at,
        -- what nobody owns stays for as long as `*` says, or the most patient tenant
        coalesce(own.expired_on, fallback.expired_on, (select min(expired_on) from limits)) as expired_on
    from int_quarantine as quarantine
    inner join landing_files as files on files.landing_file = quarantine.landing_file and files.state = 'read'
    left join limits as own on quarantine.tenant_id = own.tenant_id
    left join limits as fallback on fallback.tenant_id = '*'
    where quarantine.reason not in ('erased', 'expired')
)
select landing_file, landing_row from events
union
select duplicates.landing_file, duplicates.landing_row
from int_duplicates as duplicates
inner join events using (tenant_key, unit_key, event_key)
inner join landing_files as files on files.landing_file = duplicates.landing_file and files.state = 'read'
union
select landing_file, landing_row from refused where known_at < expired_on
union
select deferred.landing_file, deferred.landing_row
from int_deferred as deferred
inner join limits on deferred.tenant_key = limits.tenant_key and deferred.occurred_at < limits.expired_on
"""


CLASS_LIMITS = """
create or replace temp table class_limits as
select
    owners.tenant_key,
    decisions.source_format,
    decisions.field,
    run.as_of + 1 - coalesce(own.days, fallback.days) as expired_on
from owners
cross join run_control as run
cross join int_field_decisions as decisions
left join class_retention as own on own.tenant_id = owners.tenant_id and own.class = decisions.class
left join class_retention as fallback on fallback.tenant_id = '*' and fallback.class = decisions.class
where coalesce(own.days, fallback.days) is not null and decisions.action <> 'drop'
"""

HELD = """
from tenant.int_events as events
inner join class_limits as limits
    on limits.field = $field
    and limits.tenant_key = events.tenant_key
    and limits.source_format = events.source_format
    and events.occurred_at < limits.expired_on
where {is_there} and events.occurred_at < (select max(expired_on) from class_limits where field = $field)
"""

CHANGED = f"""
insert into changed
select events.tenant_key, events.unit_key, min(events.occurred_at), max(events.occurred_at)
{HELD}
group by events.tenant_key, events.unit_key, cast(events.occurred_at as date)
"""

DAYS = f"""
insert into forgotten_days
select events.tenant_key, min(cast(events.occurred_at as date)), max(cast(events.occurred_at as date))
{HELD}
group by events.tenant_key
"""

EMPTY = """
update int_events as events
set {column} = {without}
from class_limits as limits
where limits.field = $field
    and limits.tenant_key = events.tenant_key
    and limits.source_format = events.source_format
    and events.occurred_at < limits.expired_on
    and {is_there}
"""


def expire_rows(workspace: Workspace, keyring: Keyring, as_of: date) -> int:
    """Mark the rows whose tenant keeps them no longer; return how many."""
    with warehouse.opened(workspace, "restricted") as connection:
        if not all(warehouse.has(connection, relation) for relation in ("int_quarantine", "gov_fields")):
            return 0
        _attach(connection, workspace, keyring)
        connection.execute(LIMITS)
        connection.begin()
        connection.execute(EXPIRED)
        count = erased_rows.mark(connection, erased_rows.EXPIRED, as_of)
        connection.execute(
            "delete from gov_properties using limits "
            "where gov_properties.tenant_id = limits.tenant_id and gov_properties.last_seen_at < limits.expired_on"
        )
        connection.execute("delete from gov_fields where last_seen_on < (select min(expired_on) from limits)")
        connection.commit()
        return count


def refuse_needed(days: pa.Table) -> None:
    """Refuse days for a class without which there is no row."""
    for row in days.to_pylist():
        if row["class"] in NEEDED and row["days"] is not None:
            raise Refused(
                f"retention.csv: the class {row['class']} goes with its row, after the tenant's retention_days"
            )


def expire_fields(workspace: Workspace, keyring: Keyring) -> None:
    """Empty the fields that their class keeps no longer; what is downstream follows with the next build."""
    with warehouse.opened(workspace, "restricted") as connection:
        _attach(connection, workspace, keyring)
        connection.execute(CLASS_LIMITS)
        limits = connection.execute("select * from class_limits").to_arrow_table()
        fields = [field for (field,) in connection.execute("select distinct field from class_limits").fetchall()]
        connection.execute("create or replace temp table changed as from int_event_changes limit 0")
        due = []
        for field in sorted(fields):
            column, is_there, _ = _spelt(field)
            query = CHANGED.format(is_there=is_there)
            if connection.execute(query, {"field": field}).fetchall() != [(0,)]:
                due.append(field)
                if column not in UNMEASURED:
                    connection.execute(DAYS.format(is_there=is_there), {"field": field})
        connection.execute("insert into int_event_changes select * from changed")
        connection.execute("detach tenant")
    if not due:
        return
    with warehouse.opened(workspace, "tenant") as connection:
        connection.register("class_limits", limits)
        connection.begin()
        for field in due:
            column, is_there, without = _spelt(field)
            connection.execute(EMPTY.format(column=column, without=without, is_there=is_there), {"field": field})
        connection.commit()


def _spelt(field: str) -> tuple[str, str, str]:
    """Return a field's column in ``int_events``, when it holds the field, and what it is without it."""
    if field == "user_agent":  # that a robot sent it says nothing of a person, and metrics go by it
        return COLUMNS[field], f"events.{COLUMNS[field]} <> 'robot'", "null"
    if field in COLUMNS:
        column = COLUMNS[field]
        return column, f"events.{column} is not null", "null"
    name = json.dumps(field.removeprefix("properties."))
    path, patch = warehouse.quoted(f"$.{name}"), warehouse.quoted(f"{{{name}:null}}")
    return "properties", f"json_exists(events.properties, '{path}')", f"json_merge_patch(properties, '{patch}')"


def _attach(connection: duckdb.DuckDBPyConnection, workspace: Workspace, keyring: Keyring) -> None:
    rows = [{"tenant_id": keys.tenant_id, "tenant_key": keys.tenant_key} for keys in keyring.tenants().values()]
    connection.register("owners", pa.Table.from_pylist(rows, OWNERS))
    connection.execute(f"attach '{warehouse.quoted(workspace.plane('tenant'))}' as tenant (read_only)")
