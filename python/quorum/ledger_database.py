"""The database that a ledger lives in, SQLite or PostgreSQL: how each is reached, locked and kept append-only.

One transaction at a time, in either: what it has read is still so when it writes, whatever other processes do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy import event

from quorum.errors import BadInput, QuorumError, Refused

_APPEND_ONLY = "the ledger is append-only"
_PATIENCE_SECONDS = 60  # for who holds the ledger; a transaction takes far less than a second


class Database(ABC):
    """Where the tables of one ledger are; every transaction of ``engine`` is the only one."""

    driver: ClassVar[str]
    schema: ClassVar[str | None] = None

    def __init__(self, url: sa.URL) -> None:
        self.url = url.set(drivername=self.driver)
        # no connection outlives its transaction, so none is ever stale or shared by a fork
        self.engine = sa.create_engine(self.url, poolclass=sa.NullPool, **self._options())
        event.listen(self.engine, "begin", self._begin)

    def __str__(self) -> str:
        """Say where it is, without the password, and without options, which can hold one."""
        places = {key: value for key, value in self.url.query.items() if key in ("host", "port")}
        return self.url.set(query=places).render_as_string(hide_password=True)

    def has(self, table: sa.Table) -> bool:
        with one_line():
            return sa.inspect(self.engine).has_table(table.name, self.schema)

    def create(self, connection: sa.Connection, tables: sa.MetaData) -> None:
        """Make the tables, and let the database itself refuse all but inserts."""
        tables.create_all(connection)
        for table in tables.sorted_tables:
            self._protect(connection, table)

    def _options(self) -> dict[str, Any]:
        return {}

    @abstractmethod
    def _protect(self, connection: sa.Connection, table: sa.Table) -> None: ...

    @abstractmethod
    def _begin(self, connection: sa.Connection) -> None:
        """Wait for the lock before anything is read: locked at the first write, both of two readers would be stale."""


class Sqlite(Database):
    """A file. SQLite locks it as a whole."""

    driver = "sqlite"

    def __init__(self, url: sa.URL) -> None:
        if url.database in (None, "", ":memory:"):
            raise BadInput("a ledger in memory would forget what was spent: give its URL a file")
        super().__init__(url)
        event.listen(self.engine, "connect", self._prepare)

    def has(self, table: sa.Table) -> bool:
        # to connect to a missing file would make an empty one
        return Path(str(self.url.database)).is_file() and super().has(table)

    def _protect(self, connection: sa.Connection, table: sa.Table) -> None:
        for verb in ("UPDATE", "DELETE"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER {table.name}_no_{verb} BEFORE {verb} ON {table.name} "
                f"BEGIN SELECT RAISE(ABORT, '{_APPEND_ONLY}'); END"
            )

    def _prepare(self, connection: Any, record: object) -> None:
        connection.isolation_level = None  # else the driver begins by itself, and too late
        connection.execute(f"PRAGMA busy_timeout = {_PATIENCE_SECONDS * 1000}")
        connection.execute("PRAGMA foreign_keys = ON")
        # FULL may lose the last commit to a power cut in the default journal mode; EXTRA does not. A write-ahead
        # log would be one more file, which a copy of the ledger can miss.
        connection.execute("PRAGMA synchronous = EXTRA")

    def _begin(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


class Postgres(Database):
    """A schema of its own, one per database, so that no other table can be taken for the ledger's.

    The lock is an advisory one: to lock a row takes the right to update it, which the nightly job must not have. It
    lasts as long as the transaction, and so does the hold of a client that died: the server ends both.
    """

    driver = "postgresql+psycopg"
    schema = "quorum_ledger"

    # 64 bits of a name; one ledger per database, and the lock is the database's own
    LOCK = sa.select(sa.func.pg_advisory_xact_lock(int.from_bytes(b"q-ledger")))
    # Whatever the server's or the role's defaults are: names mean this schema, a client that has gone silent holds
    # nobody up for long, and a commit that is acknowledged is on the disk.
    SETTINGS = sa.text(
        "select set_config('search_path', :schema, true),"
        " set_config('lock_timeout', :patience, true),"
        " set_config('idle_in_transaction_session_timeout', :patience, true),"
        " set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), true)"
    )
    SERVER = sa.text("select current_setting('fsync') as fsync, current_setting('server_encoding') as encoding")

    def create(self, connection: sa.Connection, tables: sa.MetaData) -> None:
        """Make the schema too, unless whoever made the database has."""
        if not sa.inspect(connection).has_schema(self.schema):
            connection.execute(sa.schema.CreateSchema(self.schema))
        super().create(connection, tables)

    def _protect(self, connection: sa.Connection, table: sa.Table) -> None:
        connection.exec_driver_sql(
            f"CREATE FUNCTION {self.schema}.keep_{table.name}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{_APPEND_ONLY}'; END $$"
        )
        connection.exec_driver_sql(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {self.schema}.{table.name} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {self.schema}.keep_{table.name}()"
        )
        # ALWAYS: also for a session that applies a replica's changes, which skips other triggers
        connection.exec_driver_sql(f"ALTER TABLE {self.schema}.{table.name} ENABLE ALWAYS TRIGGER append_only")

    def _options(self) -> dict[str, Any]:
        # a standby would show what was spent a while ago
        defaults = {"connect_timeout": 10, "target_session_attrs": "read-write"}
        return {
            "isolation_level": "READ COMMITTED",  # so that what others committed while this one waited is seen
            "connect_args": {name: value for name, value in defaults.items() if name not in self.url.query},
        }

    def _begin(self, connection: sa.Connection) -> None:
        connection.execute(self.SETTINGS, {"schema": self.schema, "patience": f"{_PATIENCE_SECONDS}s"})
        server = connection.execute(self.SERVER).one()
        if server.fsync != "on":
            raise Refused("the ledger's server runs with fsync off: a power cut could give spent budget back")
        if server.encoding != "UTF8":
            raise Refused(f"the ledger's database is encoded in {server.encoding}: make one in UTF8")
        connection.execute(self.LOCK)


_KINDS: dict[str, type[Database]] = {"sqlite": Sqlite, "postgresql": Postgres, "postgres": Postgres}


def database(url: str) -> Database:
    """Return the database at a URL, untouched; raises BadInput, in words without the URL, which can hold a password."""
    try:
        parsed = sa.make_url(url)
        kind = _KINDS[parsed.drivername.partition("+")[0]]
    except (sa.exc.ArgumentError, ValueError, KeyError):
        raise BadInput(
            "the ledger's URL is none of sqlite:////path/to/ledger.db and postgresql://user@host:5432/database"
        ) from None
    try:
        return kind(parsed)
    except ImportError:
        raise BadInput("a ledger in PostgreSQL needs psycopg: pip install 'quorum[postgres]'") from None


@contextmanager
def one_line() -> Iterator[None]:
    """Tell in one line what the database says, without the detail below it, which can hold a value."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        diagnosis = getattr(error.orig, "diag", None)
        said = getattr(diagnosis, "message_primary", None) or str(error.orig)
        raise QuorumError(f"the ledger cannot be used: {' '.join(said.split())}") from error
