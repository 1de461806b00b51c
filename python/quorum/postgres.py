"""How the mirror reaches its PostgreSQL database, and what is said when that fails: one line, no password, no value."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import sql

from quorum.errors import BadInput, QuorumError

Connection = psycopg.Connection[tuple[Any, ...]]

_NO_URL = "the mirror's URL is none like postgresql://user@host:5432/database"
# Whatever the server's or the role's defaults are: names mean what they say, nobody who holds a lock is waited for
# without an end, and what the server remarks is for its log.
_SETTINGS = {"search_path": "pg_catalog", "lock_timeout": "10s", "client_min_messages": "error", "row_security": "on"}
# what the server says in these classes of SQLSTATE may quote a value: data, integrity, and what a function raised
_MAY_QUOTE = ("22", "23", "P0")


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """Connect, without a transaction; raises BadInput for a URL that is none, in words that do not repeat it."""
    try:
        parsed = sa.make_url(url)
        if parsed.drivername.partition("+")[0] not in ("postgresql", "postgres"):
            raise BadInput(_NO_URL)
        parsed = parsed.set(drivername="postgresql+psycopg")
        _, options = parsed.get_dialect()().create_connect_args(parsed)
    except (sa.exc.ArgumentError, ValueError):
        raise BadInput(_NO_URL) from None
    # a standby cannot be written to
    defaults = {"connect_timeout": 10, "target_session_attrs": "read-write", "application_name": "quorum mirror"}
    with one_line(), psycopg.connect(**{**defaults, **options}, autocommit=True) as connection:
        for name, value in _SETTINGS.items():
            connection.execute("select set_config(%s, %s, false)", [name, value])
        yield connection


@contextmanager
def one_line() -> Iterator[None]:
    """Tell in one line what the server says, but for what may quote a value: of that, which kind of error it is."""
    try:
        yield
    except psycopg.Error as error:
        state = error.sqlstate or ""
        if state.startswith(_MAY_QUOTE) or isinstance(error, psycopg.DataError):
            said = f"{type(error).__name__} ({state or 'before it was sent'})"
        else:
            said = error.diag.message_primary or str(error)
        raise QuorumError(f"the mirror in PostgreSQL stays as it was: {' '.join(said.split())}") from error


def rows(connection: Connection, query: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
    """Return what a query finds."""
    return connection.execute(query.encode(), parameters).fetchall()


def run(connection: Connection, statements: list[sql.Composed]) -> None:
    """Send statements in one go."""
    if statements:
        connection.execute(sql.SQL("; ").join(statements))


def statement(text: str, **names: sql.Composable | str | tuple[str, ...]) -> sql.Composed:
    """Put names into a statement: a text is an identifier, a tuple one with its schema, anything else as it is."""
    return sql.SQL(text).format(
        **{
            key: value
            if isinstance(value, sql.Composable)
            else sql.Identifier(*([value] if isinstance(value, str) else value))
            for key, value in names.items()
        }
    )
