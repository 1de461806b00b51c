"""Filling: the rows of a release as tables that nobody can read yet, a transaction for each tenant."""

from psycopg import sql

from quorum import postgres
from quorum.errors import QuorumError
from quorum.mirror_layout import Place
from quorum.mirror_source import Opened, Table
from quorum.postgres import Connection, statement

# The size of a table, as vacuum and analyze write it into the catalog, is there for everybody to read.
_TENANT_OPTIONS = sql.SQL(" with (autovacuum_enabled = false, toast.autovacuum_enabled = false)")


def fill(connection: Connection, place: Place, opened: Opened) -> None:
    """Make a place's tables; what a run that was killed had made of it must be gone."""
    with connection.transaction():
        if place.tenant_key:
            connection.execute("select quorum_roles.make(%s)", [place.tenant_key])
        connection.execute(statement("create schema {schema}", schema=place.tables))
        for table in opened.tables:
            _create(connection, place, table)
            _copy(connection, place, table, opened)
            _protect(connection, place, table)


def _create(connection: Connection, place: Place, table: Table) -> None:
    columns = [statement("{name} {kind}", name=column.name, kind=sql.SQL(column.data_type)) for column in table.columns]
    connection.execute(
        statement(
            "create table {table} ({columns}){options}",
            table=(place.tables, table.name),
            columns=sql.SQL(", ").join(columns),
            options=_TENANT_OPTIONS if place.tenant_key else sql.SQL(""),
        )
    )


def _copy(connection: Connection, place: Place, table: Table, opened: Opened) -> None:
    """Copy the rows, frozen: whoever reads by an older snapshot sees all of them, and never an empty table."""
    target = statement("copy {table} from stdin with (freeze)", table=(place.tables, table.name))
    with connection.cursor() as cursor:
        with cursor.copy(target) as copy:
            for row in opened.rows(table):
                copy.write_row(row)
        if cursor.rowcount != table.rows:
            raise QuorumError(f"{place.tables}.{table.name} got {cursor.rowcount} rows of {table.rows}")


def _protect(connection: Connection, place: Place, table: Table) -> None:
    """Let one role read, and of a table with tenants its own rows only, whoever else is granted what by mistake."""
    postgres.run(
        connection,
        [
            statement(text, table=(place.tables, table.name), role=place.role, own=own_rows(place, table.has_tenants))
            for text in (
                "alter table {table} enable row level security, force row level security",
                "create policy own_rows on {table} for select to {role} using ({own})",
            )
        ],
    )


def own_rows(place: Place, has_tenants: bool) -> sql.Composable:
    """Return the condition of a place's rows."""
    if place.tenant_key is None or not has_tenants:
        return sql.SQL("true")
    return statement("tenant_key = {key}", key=sql.Literal(place.tenant_key))


def drop(connection: Connection, schema: str) -> None:
    """Drop a schema of tables with all that is in it."""
    with connection.transaction():
        connection.execute(statement("drop schema if exists {schema} cascade", schema=schema))
