"""The swap: views that readers know by name, pointed to the tables of another release, all in one transaction."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import psycopg
from psycopg import sql

from quorum import postgres
from quorum.errors import QuorumError
from quorum.mirror_layout import OURS, TENANT_PREFIX, Layout, Place
from quorum.mirror_source import Table
from quorum.postgres import Connection, statement

_SOON_SECONDS = 0.5
# of a view: its own, that of its table and that of its comments; of a place: of its two schemas and its role
_LOCKS = 3
LOCKS_SETTING = "max_locks_per_transaction"

Definitions = Mapping[str, Sequence[Table]]  # the relations of each place, by the schema of its tables
Comments = dict[tuple[str, str], str]  # by relation and column; the relation's own has no column

_COLUMNS = f"""
    select nspname, relname,
        array_agg(attname || ' ' || format_type(atttypid, atttypmod) order by attnum)
    from pg_class join pg_namespace on pg_namespace.oid = relnamespace join pg_attribute on attrelid = pg_class.oid
    where {OURS} and relkind in ('r', 'v') and attnum > 0 and not attisdropped
    group by nspname, relname
"""
_COMMENTS = f"""
    select nspname, relname, coalesce(attname, ''), description
    from pg_description join pg_class on pg_class.oid = objoid join pg_namespace on pg_namespace.oid = relnamespace
        left join pg_attribute on attrelid = objoid and attnum = objsubid and objsubid > 0
    where classoid = 'pg_class'::regclass and relkind = 'v' and {OURS}
"""
_VIEWS = f"""
    select nspname, relname from pg_class join pg_namespace on pg_namespace.oid = relnamespace
    where {OURS} and relkind = 'v' and pg_get_userbyid(relowner) = current_user order by 1, 2
"""
_SCHEMAS = f"select nspname from pg_namespace where {OURS}"


class Held(QuorumError):
    """Somebody reads from a view for longer than the swap may wait; ``place`` is the view's in the order."""

    def __init__(self, place: int) -> None:
        super().__init__(
            "readers hold the former release in a transaction of their own: they keep it, and the next run tries again "
            "(`pg_stat_activity` shows an administrator who it is)"
        )
        self.place = place


def known(connection: Connection) -> list[tuple[str, str]]:
    """Return the mirror's own views that there are: schema and name."""
    return [(schema, name) for schema, name in postgres.rows(connection, _VIEWS)]


def hold(connection: Connection, views: Sequence[tuple[str, str]], patience: float) -> None:
    """Keep readers away from these views until the transaction ends; raises Held where they do not let go.

    While it holds nothing it may wait, ``patience`` seconds. A reader that it waits for later may wait for it in turn,
    so then it gives up soon: before the server looks for deadlocks, for it might end the reader.
    """
    for place, view in enumerate(views):
        seconds = min(patience, _SOON_SECONDS) if place else patience
        connection.execute("select set_config('lock_timeout', %s, true)", [f"{seconds:.3f}s"])
        try:
            connection.execute(statement("lock table {view} in access exclusive mode", view=view))
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            raise Held(place) from None


def too_few_locks(connection: Connection, layout: Layout) -> QuorumError:
    """Return what to tell where the server has no room for the locks of a swap: to add as much room as they take."""
    locks = _LOCKS * sum(1 + len(place.seen) for place in layout.places)
    [(sessions, now)] = postgres.rows(
        connection, f"select current_setting('max_connections')::int, current_setting('{LOCKS_SETTING}')::int"
    )
    return QuorumError(
        f"the mirror in PostgreSQL stays as it was: readers of {len(layout.tenants):,} tenants are moved at once, "
        f"which takes {locks:,} locks: set {LOCKS_SETTING} = {64 * math.ceil((now + locks / sessions) / 64)}, "
        "restart the server and run again"
    )


def changes(
    connection: Connection, layout: Layout, definitions: Definitions, said_of: Callable[[Place], str]
) -> list[sql.Composed]:
    """Return what lets the views of each place show its tables; whose place is gone, its views go too.

    A view stays the same object where its columns stay the same, so that what others have made over it stays too.
    """
    schemas = {name for (name,) in postgres.rows(connection, _SCHEMAS)}
    columns: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for schema, name, found in postgres.rows(connection, _COLUMNS):
        columns[schema][name] = found
    comments: dict[str, Comments] = defaultdict(dict)
    for schema, name, column, said in postgres.rows(connection, _COMMENTS):
        comments[schema][name, column] = said
    gone = sorted(schemas - {place.views for place in layout.places})
    statements = [
        statement("drop schema {schema} cascade", schema=schema) for schema in gone if schema.startswith(TENANT_PREFIX)
    ]
    for place in layout.places:
        if place.views not in schemas:
            statements.append(statement("create schema {schema}", schema=place.views))
        there, made = columns[place.views], columns[place.tables]
        changed = {name for name, found in there.items() if name not in place.seen or found != made[name]}
        statements += [statement("drop view {view}", view=(place.views, name)) for name in sorted(changed)]
        said = {of: text for of, text in comments[place.views].items() if of[0] not in changed}
        for table in definitions[place.tables]:
            if table.name in place.seen:
                statements.append(_view(place, table))
                statements += _comments(place, table, said)
        comment = sql.Literal(said_of(place))
        statements.append(statement("comment on schema {schema} is {said}", schema=place.views, said=comment))
    return statements


def _view(place: Place, table: Table) -> sql.Composed:
    """Show a table with the rights of who reads: both its grants and its policy have to let them."""
    return statement(
        "create or replace view {view} with (security_invoker = true, security_barrier = true) "
        "as select {columns} from {table}",
        view=(place.views, table.name),
        columns=sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns),
        table=(place.tables, table.name),
    )


def _comments(place: Place, table: Table, known: Comments) -> list[sql.Composed]:
    """Say what the view and its columns mean, where that is not said already."""
    found = []
    for column, meaning in {"": table.meaning, **{column.name: column.meaning for column in table.columns}}.items():
        if known.get((table.name, column), "") != meaning:
            of = (place.views, table.name, column) if column else (place.views, table.name)
            kind = sql.SQL("column" if column else "view")
            found.append(statement("comment on {kind} {of} is {said}", kind=kind, of=of, said=sql.Literal(meaning)))
    return found
