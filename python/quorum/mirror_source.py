"""What the mirror is filled from: the files of the published release, as they passed the gate, and nothing else."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from quorum import release_folders, settings
from quorum.bundles import Bundle
from quorum.errors import BadInput, QuorumError, Refused
from quorum.keyring import Keyring
from quorum.release_folders import CROSS_TENANT, TENANTS
from quorum.warehouse import quoted
from quorum.workspace import Workspace

ROWS_AT_A_TIME = 10_000
_COLUMNS = (
    "select table_name, column_name, data_type, coalesce(comment, '') from duckdb_columns() "
    "where database_name = 'held' order by table_name, column_index"
)
_TABLES = "select table_name, coalesce(comment, '') from duckdb_tables() where database_name = 'held'"
_RELEASE, _TENANT_KEY = re.compile("[0-9a-f]{16}"), re.compile("[0-9a-f]{32}")
_TYPES = {
    "VARCHAR": "text",
    "BOOLEAN": "boolean",
    "TINYINT": "smallint",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "HUGEINT": "numeric(39, 0)",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
}


@dataclass(frozen=True)
class Column:
    """A column with its type in PostgreSQL."""

    name: str
    data_type: str
    meaning: str


@dataclass(frozen=True)
class Table:
    """A relation of a bundle, and how many rows it has there."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    rows: int

    @property
    def has_tenants(self) -> bool:
        return any(column.name == "tenant_key" for column in self.columns)


class Opened:
    """One file of a release, to read: its tables are those that its manifest lists."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, relations: Iterable[str]) -> None:
        self._connection = connection
        columns: dict[str, list[Column]] = {}
        for table, name, kind, meaning in connection.execute(_COLUMNS).fetchall():
            columns.setdefault(table, []).append(Column(name, _type(table, kind), meaning))
        meanings = dict(connection.execute(_TABLES).fetchall())
        if meanings.keys() != set(relations):
            raise QuorumError("a file of the release holds other relations than its manifest lists: publish again")
        self.tables = [
            Table(name, meanings[name], tuple(columns[name]), self._count(name)) for name in sorted(relations)
        ]

    def _count(self, name: str) -> int:
        [(rows,)] = self._connection.execute(f'select count(*) from held."{name}"').fetchall()
        return int(rows)

    def rows(self, table: Table) -> Iterator[tuple[Any, ...]]:
        found = self._connection.execute(f'select * from held."{table.name}"')
        while batch := found.fetchmany(ROWS_AT_A_TIME):
            yield from batch


@dataclass(frozen=True)
class Release:
    """The published release: its folder, its public facts, and the tenants that have a bundle in it."""

    id: str
    folder: Path
    privacy: dict[str, Any]
    bundles: tuple[Bundle, ...]

    @classmethod
    def published(cls, workspace: Workspace) -> "Release":
        """Find what readers see, and check each byte of it against the manifests."""
        folder = release_folders.current(workspace)
        if folder is None:
            raise BadInput("nothing is published yet: `quorum run` makes the first release")
        release_folders.verify(workspace)
        tenants = sorted(path.name for path in (folder / TENANTS).glob("*"))
        if not _RELEASE.fullmatch(folder.name) or not all(map(_TENANT_KEY.fullmatch, tenants)):
            raise Refused("a folder of the release is none that Quorum names so: publish again")
        keyring = Keyring.open(workspace.keyring)
        ids = {keys.tenant_key: tenant for tenant, keys in keyring.tenants().items()}
        gone = [tenant for tenant in tenants if tenant not in ids]
        if gone:
            raise Refused(
                f"the keys of {gone[0]} are gone, and its bundle is still published: `quorum run` takes it away"
            )
        privacy = release_folders.manifest(folder / CROSS_TENANT)["privacy"]
        return cls(folder.name, folder, privacy, tuple(Bundle(t, keyring.bundle_key(ids[t])) for t in tenants))

    def relations(self, tenant_key: str | None) -> list[str]:
        """Return the names that a tenant's manifest lists, or the one of what is for all."""
        return sorted(release_folders.manifest(self._of(tenant_key))["relations"])

    @contextmanager
    def reading(self) -> Iterator["Files"]:
        """Read its files, one at a time."""
        with duckdb.connect(config={"memory_limit": settings.memory_limit()}) as connection:
            connection.execute("set enable_progress_bar = false")
            yield Files(self, connection)

    def _of(self, tenant_key: str | None) -> Path:
        return self.folder / (Path(TENANTS) / tenant_key if tenant_key else CROSS_TENANT)


class Files:
    """The files of a release."""

    def __init__(self, release: Release, connection: duckdb.DuckDBPyConnection) -> None:
        self._release = release
        self._connection = connection
        self._bundles = {bundle.tenant_key: bundle for bundle in release.bundles}

    @contextmanager
    def opened(self, tenant_key: str | None) -> Iterator[Opened]:
        """Open a tenant's bundle, or what is for all."""
        folder = self._release._of(tenant_key)
        file, option = folder / "benchmarks.duckdb", ""
        if tenant_key:
            bundle = self._bundles[tenant_key]
            if release_folders.manifest(folder)["privacy"]["key_check"] != bundle.key_check:
                raise Refused(
                    f"the bundle of {tenant_key} is under a former key: `quorum run` publishes it anew or takes it away"
                )
            file, option = folder / "tenant.duckdb", f", encryption_key '{bundle.key}'"
        try:
            self._connection.execute(f"attach '{quoted(file)}' as held (read_only{option})")
        except duckdb.Error as error:  # its words may hold the key
            raise QuorumError(f"{file} cannot be opened: {type(error).__name__}") from None
        try:
            yield Opened(self._connection, self._release.relations(tenant_key))
        finally:
            self._connection.execute("detach held")


def _type(relation: str, kind: str) -> str:
    if kind.startswith("DECIMAL("):
        return kind.replace("DECIMAL", "numeric")
    if kind not in _TYPES:
        raise BadInput(f"{relation}: PostgreSQL is told of no type for a column of {kind}")
    return _TYPES[kind]
