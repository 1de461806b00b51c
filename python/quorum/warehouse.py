"""Reading and writing the relations of a plane outside dbt."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from quorum.encryption import encrypt_spill_files
from quorum.errors import QuorumError
from quorum.settings import memory_limit
from quorum.workspace import Workspace


@contextmanager
def opened(workspace: Workspace, plane: str, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open one plane; its relations are in schema ``main``. Spilled data is encrypted."""
    path = workspace.plane(plane)
    try:
        connection = _connect(workspace, path, read_only=read_only)
    except duckdb.IOException as error:
        raise QuorumError(f"cannot open {path.name}: is another program holding it?") from error
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def attached(workspace: Workspace, *planes: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open several planes to read; each is a database of its own name."""
    connection = _connect(workspace, ":memory:")
    try:
        for plane in planes:
            connection.execute(f"attach '{quoted(workspace.plane(plane))}' as {plane} (read_only)")
        yield connection
    finally:
        connection.close()


@contextmanager
def beside(connection: duckdb.DuckDBPyConnection, workspace: Workspace, plane: str) -> Iterator[None]:
    """Show another plane to a connection, to read, as a database of its own name."""
    connection.execute(f"attach '{quoted(workspace.plane(plane))}' as {plane} (read_only)")
    yield
    # not where something failed amid a transaction: that would hide what did, and the connection ends anyway
    connection.execute(f"detach {plane}")


def quoted(text: object) -> str:
    """Return a text for the inside of an SQL literal, where a parameter is not allowed."""
    return str(text).replace("'", "''")


def _connect(workspace: Workspace, database: str | Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    limits = {"memory_limit": memory_limit(), "temp_directory": str(workspace.restricted / "spill")}
    connection = duckdb.connect(database, read_only=read_only, config=dict(limits))
    connection.execute("set enable_progress_bar = false")  # it would go to stdout
    encrypt_spill_files(connection)
    return connection


def replace(connection: duckdb.DuckDBPyConnection, relation: str, rows: pa.Table) -> None:
    """Create ``relation`` anew with the types of ``rows``."""
    connection.register("incoming", rows)
    connection.execute(f'create or replace table "{relation}" as select * from incoming')
    connection.unregister("incoming")


def has(connection: duckdb.DuckDBPyConnection, relation: str) -> bool:
    """Tell whether the plane holds a relation of that name."""
    found = connection.execute(
        "select count(*) from duckdb_tables() where table_name = ? and database_name = current_database()",
        [relation],
    ).fetchone()
    return bool(found and found[0])


def rows(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: list[Any] | dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Return the query's rows as dictionaries."""
    result = connection.execute(query, parameters or [])
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
