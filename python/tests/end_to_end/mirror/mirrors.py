"""Mirrors of a small release on a real server, releases that differ from it, and logins that read them."""

import base64
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from quorum import mirror, release_folders
from quorum.bundles import BLOCK_SIZE
from quorum.encryption import load_encryption
from quorum.keyring import Keyring
from quorum.mirror_setup import SETUP
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.postgres import Server

PASSWORD = "reader"  # noqa: S105  # of logins of a server that nobody else reaches
FOR_ALL = ""  # instead of a tenant key: what is published for all


@dataclass
class Mirror:
    """A workspace and the database that mirrors it."""

    server: Server
    workspace: Workspace
    database: str
    _logins: dict[str, str] = field(default_factory=dict)

    @classmethod
    def made(cls, server: Server, workspace: Workspace, database: str) -> "Mirror":
        """Set a database up as an administrator would, for a workspace that is the mirror's own."""
        server.execute(f"create database {database}")
        mirror = cls(server, workspace, database)
        mirror.set_up()
        server.execute(f"alter role quorum_mirror password '{PASSWORD}'")
        return mirror

    def set_up(self) -> None:
        self.server.run("psql", "-q", "-v", "ON_ERROR_STOP=1", self.database, input=SETUP)

    @property
    def url(self) -> str:
        return self.server.url(self.database, "quorum_mirror", PASSWORD)

    @property
    def tenants(self) -> list[str]:
        """Their keys, in order."""
        folder = release_folders.current(self.workspace)
        assert folder is not None
        return sorted(path.name for path in (folder / release_folders.TENANTS).iterdir())

    def bring(self) -> dict[str, Any]:
        return mirror.mirror(self.workspace, self.url, worlds.silent)

    def admin(self, statement: str) -> None:
        self.server.execute(statement, self.database)

    def login(self, group: str, database: str | None = None) -> psycopg.Connection[tuple[Any, ...]]:
        """Connect as somebody who is a member of one role and of no other; no transaction is begun by itself.

        The database is the mirror's, unless another one is named.
        """
        if group not in self._logins:
            name = f"login_{secrets.token_hex(4)}"
            self.admin(f"create role {name} login password '{PASSWORD}'")
            self.admin(f"grant {group}, quorum_reader to {name}")
            self._logins[group] = name
        return psycopg.connect(
            host=str(self.server.folder),
            dbname=database or self.database,
            user=self._logins[group],
            password=PASSWORD,
            autocommit=True,
            prepare_threshold=None,
        )

    def of_tenant(self, tenant_key: str) -> psycopg.Connection[tuple[Any, ...]]:
        """Connect as somebody of a tenant."""
        return self.login(f"quorum_t_{tenant_key}")

    def published(self, tenant_key: str) -> "Held":
        """Read what is published for a tenant, or for all, from the files."""
        folder = release_folders.current(self.workspace)
        assert folder is not None
        return Held.of(folder, tenant_key, key_of(self.workspace, tenant_key))


@dataclass(frozen=True)
class Held:
    """Relations of a published file: their rows, and what is said of each column (None: of the relation)."""

    rows: dict[str, list[tuple[Any, ...]]]
    comments: dict[tuple[str, str | None], str]

    @classmethod
    def of(cls, folder: Path, tenant_key: str, key: str) -> "Held":
        with attached(file_of(folder, tenant_key), key) as connection:
            names = [name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()]
            rows = {name: connection.execute(f"select * from held.{name}").fetchall() for name in names}
            comments = connection.execute(
                "select table_name, column_name, comment from duckdb_columns() where database_name = 'held' "
                "union all select table_name, null, comment from duckdb_tables()"
            ).fetchall()
        return cls(rows, {(table, column): said for table, column, said in comments})


def file_of(folder: Path, tenant_key: str) -> Path:
    tenant = folder / release_folders.TENANTS / tenant_key / "tenant.duckdb"
    return tenant if tenant_key else folder / release_folders.CROSS_TENANT / "benchmarks.duckdb"


def key_of(workspace: Workspace, tenant_key: str) -> str:
    keys = {each.tenant_key: each.bundle_key for each in Keyring.open(workspace.keyring).tenants().values()}
    return base64.b64encode(keys[tenant_key]).decode() if tenant_key else ""


def attached(file: Path, key: str, *, write: bool = False) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    load_encryption(connection)
    options = ["read_only"] * (not write) + [f"encryption_key '{key}'"] * bool(key)
    options += [f"block_size {BLOCK_SIZE}"] * write
    connection.execute(f"attach '{file}' as held ({', '.join(options)})")
    return connection


def republished(workspace: Workspace, changes: Mapping[str, Sequence[str]], without: Sequence[str] = ()) -> str:
    """Publish a release that differs from the last in what some files hold, and in tenants that have left.

    ``changes`` are statements by tenant key, over tables in ``held``. The manifests follow, as they do in a night.
    """
    before = release_folders.current(workspace)
    assert before is not None
    folder = before.with_name(secrets.token_hex(8))
    shutil.copytree(before, folder)
    for tenant_key in without:
        shutil.rmtree(folder / release_folders.TENANTS / tenant_key)
    for tenant_key, statements in changes.items():
        _rewrite(file_of(folder, tenant_key), key_of(workspace, tenant_key), statements)
    operator = workspace.operator_manifests
    facts = json.loads((operator / f"{before.name}.json").read_text())
    files = {str(path.relative_to(folder)): _sha256(path) for path in folder.rglob("*") if path.is_file()}
    facts |= {"release": folder.name, "previous": before.name, "files": files}
    (operator / f"{folder.name}.json").write_text(json.dumps(facts))
    point_to(workspace, folder.name)
    return folder.name


def point_to(workspace: Workspace, release: str) -> None:
    """Let readers of files see a release that is there."""
    link = workspace.published / "next"
    link.symlink_to(Path("releases") / release)
    link.replace(workspace.published / "current")


def _rewrite(file: Path, key: str, statements: Sequence[str]) -> None:
    with attached(file, key, write=True) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.execute("checkpoint held")
    path = file.with_name("manifest.json")
    manifest = json.loads(path.read_text())
    manifest["files"][file.name] = {"sha256": _sha256(file), "bytes": os.stat(file).st_size}  # noqa: PTH116
    path.write_text(json.dumps(manifest))


def _sha256(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()
