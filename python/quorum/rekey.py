"""Re-keying: after a rotation, what is stored follows into the new key epoch, so that a user stays one user.

A stored token is carried on by an HMAC under the new key; no identifier is needed for it. Only what cannot be
built anew is carried: the accepted events, and the relations ``int_*`` of the restricted plane. There, every column
``*_key`` beside ``tenant_key`` is such a token; the others are values in ``properties``. All that is built from events
follows through ``int_event_changes``, as if the old users' events had gone and the new users' had come.

A transaction writes one database, so this takes three. ``key_epochs`` in each database says how far its tokens are,
and is written with them: a run that was killed in between is made good by the next one.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from quorum import warehouse
from quorum.audit import AuditLog
from quorum.errors import QuorumError, Refused
from quorum.hmac_sql import CHAIN, PADS, padded
from quorum.keyring import Keyring, TenantKeys
from quorum.workspace import Workspace

# A tenant that is not listed is at its first epoch; one whose keys were shredded is at none.
SCHEMA = "create table if not exists {plane}.key_epochs (tenant_key varchar primary key, epoch integer)"
EPOCHS = pa.schema([("tenant_key", pa.string()), ("epoch", pa.int32())])
SAVE = "insert or replace into {plane}.key_epochs from saved"

IN_QUOTES = '"([0-9a-f]{32})[":]'
MOVING = pa.schema([("tenant_key", pa.string()), ("pads", pa.list_(pa.struct(PADS)))])
TOKENS = r"""
select
    table_name,
    list(column_name order by column_index) filter (
        column_name like '%\_key' escape '\' and column_name <> 'tenant_key' or column_name = 'properties'
    ) as tokens
from duckdb_columns()
inner join duckdb_tables() using (database_name, schema_name, table_name)
where database_name = $plane and table_name like 'int\_%' escape '\' and table_name <> 'int_event_changes'
group by table_name
having bool_or(column_name = 'tenant_key') and len(tokens) > 0
order by table_name
"""
# A token that is a value of a JSON object, or stands before what else is told of it: "token" or "token:class".
CARRIED_PROPERTIES = f"""
case when regexp_matches(properties, '{IN_QUOTES}') then list_reduce(
    list_prepend(properties, list_distinct(regexp_extract_all(properties, '{IN_QUOTES}', 1))),
    lambda so_far, token: replace(
        replace(so_far, '"' || token || '"', '"' || carried(token, pads) || '"'),
        '"' || token || ':', '"' || carried(token, pads) || ':'
    )
) else properties end as properties
"""
# Under the tokens of now; between two of these, the same instants go and come.
CHANGES = """
insert into restricted.int_event_changes by name
select tenant_key, unit_key, min(occurred_at) as first_at, max(occurred_at) as last_at
from tenant.int_events
inner join moving using (tenant_key)
group by tenant_key, unit_key, cast(occurred_at as date)
"""


def finish(workspace: Workspace, keyring: Keyring, progress: Callable[[str], None] = lambda _: None) -> None:
    """Bring every stored token to the key epoch of its tenant; the caller holds the workspace.

    Raises Refused where the tokens are ahead of the keyring.
    """
    epochs = {keys.tenant_key: keys for keys in keyring.tenants().values()}
    with _both(workspace) as connection:
        for plane in ("restricted", "tenant"):
            connection.execute(SCHEMA.format(plane=plane))
            _refuse_if_ahead(_stored(connection, plane), epochs)
        if behind := _behind(connection, "tenant", epochs):
            progress(f"carrying the events of {len(behind):,} tenants into a new key epoch")
            _record_changes(connection, behind)
            _carry_events(connection, behind)
        if behind := _behind(connection, "restricted", epochs):
            rotated = {keys.tenant_key: keys.epoch for keys, _ in behind}
            AuditLog(workspace).append("keys_rotated", epochs=rotated)
            _carry_the_rest(connection, behind)
        _note_shredded(workspace, connection, keyring)


@contextmanager
def _both(workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    with warehouse.opened(workspace, "restricted") as connection:
        try:
            connection.execute(f"attach '{warehouse.quoted(workspace.plane('tenant'))}' as tenant")
        except duckdb.IOException as error:
            raise QuorumError("cannot open tenant.duckdb: is another program holding it?") from error
        connection.execute(CHAIN.format(kind="temp", name="carried"))
        try:
            yield connection
        finally:
            connection.execute("detach tenant")


Behind = list[tuple[TenantKeys, int]]


def _stored(connection: duckdb.DuckDBPyConnection, plane: str) -> dict[str, int | None]:
    return dict(connection.execute(f"select tenant_key, epoch from {plane}.key_epochs").fetchall())


def _behind(connection: duckdb.DuckDBPyConnection, plane: str, tenants: Mapping[str, TenantKeys]) -> Behind:
    """Return the tenants whose stored tokens are of an earlier epoch, and of which."""
    stored = _stored(connection, plane)
    found = ((keys, stored.get(tenant_key) or 1) for tenant_key, keys in tenants.items())
    return [(keys, epoch) for keys, epoch in found if epoch < keys.epoch]


def _refuse_if_ahead(stored: Mapping[str, int | None], tenants: Mapping[str, TenantKeys]) -> None:
    for tenant_key, keys in tenants.items():
        epoch = stored.get(tenant_key, 1)
        if epoch is None or epoch > keys.epoch:
            raise Refused(f"an older keyring was put back: it lacks what became of tenant {tenant_key} since")


def _record_changes(connection: duckdb.DuckDBPyConnection, behind: Behind) -> None:
    if _has(connection, "tenant", "int_events") and _has(connection, "restricted", "int_event_changes"):
        with _moving(connection, behind):
            connection.execute(CHANGES)


def _carry_events(connection: duckdb.DuckDBPyConnection, behind: Behind) -> None:
    with _moving(connection, behind):
        _carry(connection, "tenant")


def _carry_the_rest(connection: duckdb.DuckDBPyConnection, behind: Behind) -> None:
    with _moving(connection, behind):
        _carry(connection, "restricted")
        if _has(connection, "tenant", "int_events") and _has(connection, "restricted", "int_event_changes"):
            connection.execute(CHANGES)


def _carry(connection: duckdb.DuckDBPyConnection, plane: str) -> None:
    for table, columns in connection.execute(TOKENS, {"plane": plane}).fetchall():
        carried = (
            CARRIED_PROPERTIES if name == "properties" else f"carried({name}, pads) as {name}" for name in columns
        )
        tokens = ", ".join(carried)
        relation = f"{plane}.{table}"
        # an update would hold all that it changes in memory; what goes and comes does not
        connection.execute(
            f"create or replace temp table following as select kept.* replace ({tokens}) "
            f"from {relation} as kept inner join moving using (tenant_key)"
        )
        connection.execute(f"delete from {relation} where tenant_key in (select tenant_key from moving)")
        connection.execute(f"insert into {relation} from following")
        connection.execute("drop table following")
    connection.execute(SAVE.format(plane=plane))


@contextmanager
def _moving(connection: duckdb.DuckDBPyConnection, behind: Behind) -> Iterator[None]:
    """Hold a transaction in which SQL sees the further keys of each tenant, and the epochs to write down after them."""
    saved = [{"tenant_key": keys.tenant_key, "epoch": keys.epoch} for keys, _ in behind]
    moving = [
        {"tenant_key": keys.tenant_key, "pads": [padded(key) for key in keys.pseudonym_keys[epoch:]]}
        for keys, epoch in behind
    ]
    connection.register("moving", pa.Table.from_pylist(moving, schema=MOVING))
    connection.register("saved", pa.Table.from_pylist(saved, schema=EPOCHS))
    connection.begin()
    try:
        yield
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    finally:
        connection.unregister("moving")
        connection.unregister("saved")


def _note_shredded(workspace: Workspace, connection: duckdb.DuckDBPyConnection, keyring: Keyring) -> None:
    """Write down whose keys are gone, so that an older keyring which still has them is noticed."""
    stored = _stored(connection, "restricted")
    for each in keyring.shredded():
        if stored.get(each.tenant_key, each.epoch) is None:
            continue
        AuditLog(workspace).append("keys_shredded", tenant_key=each.tenant_key, epoch=each.epoch)
        connection.execute("insert or replace into restricted.key_epochs values (?, null)", [each.tenant_key])


def _has(connection: duckdb.DuckDBPyConnection, plane: str, table: str) -> bool:
    query = "select 1 from duckdb_tables() where database_name = ? and table_name = ?"
    return connection.execute(query, [plane, table]).fetchone() is not None
