"""Writing a plane's database anew, so that its file holds what its relations hold and nothing that they held once.

A deleted row stays in the pages that it left, and in the log, for as long as nothing else needs the room.
"""

import os
from pathlib import Path

import duckdb

from quorum import warehouse
from quorum.errors import QuorumError
from quorum.workspace import Workspace


def rewrite(workspace: Workspace, plane: str, *changes: str) -> None:
    """Copy all relations of a plane, views, constraints and comments included, and put the copy in its place.

    The copy gets these changes before it takes the place: they come with it, or not at all.
    """
    path = workspace.plane(plane)
    if not path.exists():
        return
    with warehouse.opened(workspace, plane) as connection:
        connection.execute("checkpoint")  # a log that is left would be taken for the new file's
    fresh = path.with_name(f"{path.name}.new")
    for leftover in (fresh, _log(fresh)):
        leftover.unlink(missing_ok=True)
    with warehouse.attached(workspace, plane) as connection:
        connection.execute(f"attach '{warehouse.quoted(fresh)}' as fresh")
        connection.execute(f"copy from database {plane} to fresh")
        connection.execute("detach fresh")
        _compare(connection, plane, fresh)
    with duckdb.connect(fresh) as connection:
        for change in changes:
            connection.execute(change)
    if _log(path).exists() or _log(fresh).exists():
        raise QuorumError(f"{path.name} is in use: close what holds it, and run again")
    fresh.chmod(path.stat().st_mode & 0o777)
    _sync(fresh)
    fresh.replace(path)
    _sync(path.parent)


def empty(workspace: Workspace, plane: str) -> None:
    """Leave the relations of a plane, and no row in them: for one whose rows are made anew when they are needed."""
    if not workspace.plane(plane).exists():
        return
    with warehouse.opened(workspace, plane) as connection:
        for (table,) in connection.execute(
            "select table_name from duckdb_tables() where database_name = current_database()"
        ).fetchall():
            connection.execute(f'delete from "{table}"')
    rewrite(workspace, plane)


def _compare(connection: duckdb.DuckDBPyConnection, plane: str, fresh: Path) -> None:
    """Refuse a copy that lacks a row or a relation: the original is about to go."""
    connection.execute(f"attach '{warehouse.quoted(fresh)}' as fresh (read_only)")
    counts = []
    for database in (plane, "fresh"):
        tables = connection.execute(
            "select table_name from duckdb_tables() where database_name = ? order by all", [database]
        ).fetchall()
        views = connection.execute(
            "select view_name from duckdb_views() where database_name = ? and not internal order by all", [database]
        ).fetchall()
        rows = [connection.execute(f'select count(*) from {database}.main."{name}"').fetchall() for (name,) in tables]
        counts.append((tables, views, rows))
    connection.execute("detach fresh")
    if counts[0] != counts[1]:
        raise QuorumError(f"the copy of {plane}.duckdb is not whole: run again")


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
