"""Finding the rows of a person or a tenant, wherever they ended: accepted, duplicate, deferred or quarantined."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from quorum import lines_read_again, warehouse
from quorum.subjects import DEVICE, Person, of_people, of_person, pattern, spelt, token
from quorum.tenant_keys import TenantKeys
from quorum.workspace import Workspace

WANTED = pa.schema([("kind", pa.string()), ("is_exact", pa.bool_()), ("token", pa.string()), ("spelling", pa.string())])

FORMATS = """
create or replace temp table formats as
select
    source_format,
    coalesce(bool_or(field = 'user_id' and action = 'tokenise_exact'), false) as user_is_exact,
    coalesce(bool_or(field = 'anonymous_id' and action = 'tokenise_exact'), false) as device_is_exact
from int_field_decisions
group by source_format
"""

# A device that was only ever seen signed in as people who are to go is theirs.
UNITS = """
create or replace temp table units as
with theirs as (
    select distinct events.anonymous_key
    from tenant.int_events as events
    inner join formats using (source_format)
    inner join wanted
        on wanted.kind = 'user' and wanted.token = events.user_key and wanted.is_exact = formats.user_is_exact
    where events.tenant_key = $tenant_key and events.anonymous_key is not null
),
owned as (
    select events.anonymous_key
    from tenant.int_events as events
    inner join theirs using (anonymous_key)
    inner join formats using (source_format)
    left join wanted
        on wanted.kind = 'user' and wanted.token = events.user_key and wanted.is_exact = formats.user_is_exact
    where events.tenant_key = $tenant_key and events.user_key is not null
    group by events.anonymous_key
    having bool_and(wanted.token is not null)
)
select
    formats.source_format,
    wanted.token as unit_key
from wanted
inner join formats
    on wanted.is_exact = case wanted.kind when 'user' then formats.user_is_exact else formats.device_is_exact end
union
select
    formats.source_format,
    owned.anonymous_key as unit_key
from owned
cross join formats
"""

BY_UNIT = """
insert into found
select 'events' as place, events.landing_file, events.landing_row, events.unit_key
from tenant.int_events as events
inner join units using (source_format, unit_key)
where events.tenant_key = $tenant_key
union all
select 'duplicates', duplicates.landing_file, duplicates.landing_row, duplicates.unit_key
from int_duplicates as duplicates
inner join landing_files as files on files.landing_file = duplicates.landing_file and files.state = 'read'
inner join units on units.source_format = files.source_format and units.unit_key = duplicates.unit_key
where duplicates.tenant_key = $tenant_key
union all
select 'deferred', deferred.landing_file, deferred.landing_row, deferred.unit_key
from int_deferred as deferred
inner join landing_files as files on files.landing_file = deferred.landing_file and files.state = 'read'
inner join units on units.source_format = files.source_format and units.unit_key = deferred.unit_key
where deferred.tenant_key = $tenant_key
"""

REFUSED = """
create or replace table read_lines as
select quarantine.landing_file, quarantine.landing_row, quarantine.payload as line
from int_quarantine as quarantine
inner join landing_files as files using (landing_file)
where quarantine.payload is not null
and (quarantine.tenant_id = $tenant_id or quarantine.tenant_id is null or files.folder_tenant = $tenant_id)
"""

# A row that names its user or device is of that one. Of the others all that can be said is that an id stands in it.
QUARANTINED = f"""
insert into found
select distinct 'quarantined' as place, clocked.landing_file, clocked.landing_row, cast(null as varchar) as unit_key
from int_events_clocked as clocked
inner join formats using (source_format)
inner join read_lines using (landing_file, landing_row)
left join wanted as by_user
    on by_user.kind = 'user'
    and by_user.is_exact = formats.user_is_exact
    and by_user.spelling = {spelt("clocked.user_id", "formats.user_is_exact")}
left join wanted as by_device
    on by_device.kind = 'anonymous'
    and clocked.user_id is null
    and by_device.is_exact = formats.device_is_exact
    and by_device.spelling = {spelt("clocked.anonymous_id", "formats.device_is_exact")}
where coalesce(clocked.tenant_id, $tenant_id) = $tenant_id
and (
    by_user.spelling is not null
    or by_device.spelling is not null
    or clocked.user_id is null and clocked.anonymous_id is null and regexp_matches(read_lines.line, $pattern)
)
"""

# The devices among the units, as their rows spell them.
DEVICES = f"""
select distinct
    formats.device_is_exact,
    {spelt("clocked.anonymous_id", "formats.device_is_exact")} as spelling
from int_events_clocked as clocked
inner join formats using (source_format)
inner join found using (landing_file, landing_row)
where clocked.user_id is null and clocked.anonymous_id is not null and found.unit_key is not null
"""

OF_TENANT = """
insert into found
select 'events', landing_file, landing_row, null from tenant.int_events where tenant_key = $tenant_key
union all
select 'duplicates', landing_file, landing_row, null
from int_duplicates inner join landing_files using (landing_file)
where tenant_key = $tenant_key and state = 'read'
union all
select 'deferred', landing_file, landing_row, null
from int_deferred inner join landing_files using (landing_file)
where tenant_key = $tenant_key and state = 'read'
union all
select 'quarantined', quarantine.landing_file, quarantine.landing_row, null
from int_quarantine as quarantine inner join landing_files as files using (landing_file)
where files.state = 'read'
and (
    coalesce(files.folder_tenant, quarantine.tenant_id) = $tenant_id
    or files.folder_tenant is null and quarantine.tenant_id is null and regexp_matches(quarantine.payload, $pattern)
)
"""


@contextmanager
def searching(connection: duckdb.DuckDBPyConnection, workspace: Workspace) -> Iterator[None]:
    """Show the tenant plane to a connection to the restricted one, and make room for what is ``found``."""
    connection.execute(
        "create or replace temp table found (place varchar, landing_file varchar, landing_row bigint, unit_key varchar)"
    )
    with warehouse.beside(connection, workspace, "tenant"):
        yield


def find_people(
    connection: duckdb.DuckDBPyConnection,
    workspace: Workspace,
    tenant_id: str,
    keys: TenantKeys | None,
    people: Sequence[Person],
) -> None:
    """Put the rows of these people into ``found``, and take the names of what they sent out of governance.

    A tenant without ``keys`` has no pseudonyms to be found by; what it sent may wait in quarantine all the same.
    """
    wanted = [
        {
            "kind": each.kind,
            "is_exact": exact,
            "token": token(keys, each.kind, spelling) if keys else None,
            "spelling": spelling,
        }
        for each in people
        for exact in (False, True)
        for spelling in [each.spelling(is_exact=exact)]
    ]
    connection.register("incoming", pa.Table.from_pylist(wanted, WANTED))
    connection.execute("create or replace temp table wanted as from incoming")
    connection.unregister("incoming")
    connection.execute(FORMATS)
    whose = {"tenant_key": keys.tenant_key if keys else None}
    connection.execute(UNITS, whose)
    connection.execute(BY_UNIT, whose)
    connection.execute(REFUSED, {"tenant_id": tenant_id})
    lines_read_again.stage(connection)
    connection.execute(QUARANTINED, {"tenant_id": tenant_id, "pattern": pattern(each.exact for each in people)})
    lines_read_again.read(connection, workspace)
    lines_read_again.forget_properties(connection)
    lines_read_again.forget_fields(connection)


def subjects(connection: duckdb.DuckDBPyConnection, key: bytes, tenant_id: str, people: Sequence[Person]) -> set[str]:
    """Return what the found people and their devices will be known by. Goes after ``find_people``."""
    known = of_people(key, tenant_id, people)
    devices = connection.execute(DEVICES).fetchall()
    return known | {
        of_person(key, tenant_id, DEVICE, spelling, is_exact=is_exact) for is_exact, spelling in devices if spelling
    }


def find_tenant(
    connection: duckdb.DuckDBPyConnection, workspace: Workspace, tenant_id: str, tenant_key: str | None
) -> None:
    """Put all rows of a tenant into ``found``, and take the names of what it sent out of governance."""
    connection.execute(OF_TENANT, {"tenant_id": tenant_id, "tenant_key": tenant_key, "pattern": pattern([tenant_id])})
    connection.execute("delete from gov_properties where tenant_id = ?", [tenant_id])
    lines_read_again.read(connection, workspace)
    lines_read_again.forget_fields(connection)
