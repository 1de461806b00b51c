"""Publishing: a new directory, manifests, fsync, and one symlink that moves.

``published/current`` points to an immutable ``releases/<id>/``. A relation that did not change keeps its file (a
hard link), and a run that changed nothing makes no release.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from quorum import warehouse
from quorum.errors import QuorumError, Refused
from quorum.ledger import Ledger
from quorum.warehouse import quoted
from quorum.workspace import Workspace

CROSS_TENANT = "cross_tenant"
BENCHMARKS = "mart_benchmark_features"
TENANT_DAILY = "mart_tenant_daily"
KEPT_RELEASES = 14
BLOCK_SIZE = 16384  # the smallest: most bundles are a few kilobytes of rows

Descriptions = dict[str, tuple[str, dict[str, str]]]


@dataclass(frozen=True)
class Bundle:
    """What a tenant gets: its folder, and the key that opens it (base64 of 32 bytes)."""

    tenant_key: str
    key: str = field(repr=False)


def current(workspace: Workspace) -> Path | None:
    """Return the directory of the release that readers see."""
    link = workspace.published / "current"
    return link.resolve() if link.is_symlink() else None


def manifest(folder: Path) -> dict[str, Any]:
    """Read a folder's manifest."""
    try:
        content: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise Refused(f"{folder / 'manifest.json'} cannot be read: put the release back") from None
    return content


def key_check(key: str) -> str:
    """Return what a bundle's manifest says of its key (base64): the same key or another, and nothing more."""
    return hashlib.sha256(b"quorum bundle key" + key.encode()).hexdigest()


def sweep(workspace: Workspace) -> None:
    """Remove what a killed run left, and releases older than the last ``KEPT_RELEASES``."""
    (workspace.published / "next").unlink(missing_ok=True)
    for file in (workspace.restricted / "spill").iterdir():
        file.unlink()
    here = current(workspace)
    kept: list[str] = []
    name = here.name if here else None
    while name and len(kept) < KEPT_RELEASES:
        kept.append(name)
        name = _previous(workspace, name)
    for folder in (workspace.published / "releases").glob("*"):
        if folder.name not in kept:
            shutil.rmtree(folder)
    for file in workspace.operator_manifests.glob("*.json"):
        if file.stem not in kept:
            file.unlink()


def _previous(workspace: Workspace, release: str) -> str | None:
    try:
        previous = json.loads((workspace.operator_manifests / f"{release}.json").read_text("utf-8"))["previous"]
    except (OSError, ValueError, KeyError):
        return None
    return previous if isinstance(previous, str) else None


class Publication:
    """A release in the making. Nothing of it is seen before ``publish``."""

    def __init__(self, workspace: Workspace, descriptions: Descriptions, facts: dict[str, Any]) -> None:
        self._workspace = workspace
        self._descriptions = descriptions
        self._facts = facts
        self._last = current(workspace)
        self.id = secrets.token_hex(8)
        self._folder = workspace.published / "releases" / self.id
        self._changed = False

    def build(self, bundles: list[Bundle], progress: Callable[[str], None]) -> None:
        """Write the benchmarks and a bundle for each tenant."""
        self._folder.mkdir(parents=True)
        with warehouse.attached(self._workspace, "tenant", "released") as source:
            self._benchmarks(source)
            kept = {folder.name for folder in (self._last / "tenants").iterdir()} if self._last else set()
            for number, bundle in enumerate(bundles, start=1):
                self._bundle(source, bundle)
                if number % 100 == 0:
                    progress(f"{number} of {len(bundles)} bundles")
        self._changed = self._changed or kept != {bundle.tenant_key for bundle in bundles}

    def publish(self) -> str | None:
        """Make it current and return its id; return None, and leave nothing, where nothing changed."""
        if not self._changed:
            self.discard()
            return None
        listing = {str(p.relative_to(self._folder)): _sha256(p) for p in sorted(self._folder.rglob("*")) if p.is_file()}
        operator = self._workspace.operator_manifests
        operator.mkdir(exist_ok=True)
        _write(
            operator / f"{self.id}.json",
            {
                "release": self.id,
                "previous": self._last.name if self._last else None,
                **self._facts,
                "files": listing,
            },
        )
        for folder in [self._folder, *(p for p in self._folder.rglob("*") if p.is_dir())]:
            _sync(folder)
        _sync(self._folder.parent)
        link = self._workspace.published / "next"
        link.unlink(missing_ok=True)
        link.symlink_to(Path("releases") / self.id)
        link.replace(self._workspace.published / "current")
        _sync(self._workspace.published)
        return self.id

    def discard(self) -> None:
        """Remove all that was built."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _benchmarks(self, source: duckdb.DuckDBPyConnection) -> None:
        folder = self._folder / CROSS_TENANT
        folder.mkdir()
        query = f"select * from released.{BENCHMARKS} order by all"
        parquet = folder / f"{BENCHMARKS}.parquet"
        meaning = {name: text for name, text in self._descriptions[BENCHMARKS][1].items() if text}
        metadata = ", ".join(f"{name}: '{quoted(text)}'" for name, text in meaning.items())
        source.execute(f"copy ({query}) to '{quoted(parquet)}' (format parquet, kv_metadata {{{metadata}}})")
        digest = _sha256(parquet)
        if self._reused(CROSS_TENANT, digest):
            return
        self._changed = True
        rows = self._database(source, folder / "benchmarks.duckdb", BENCHMARKS, query, None)
        self._manifest(folder, {BENCHMARKS: {"rows": rows, "digest": digest}}, self._facts["privacy"])

    def _bundle(self, source: duckdb.DuckDBPyConnection, bundle: Bundle) -> None:
        name = f"tenants/{bundle.tenant_key}"
        folder = self._folder / name
        folder.mkdir(parents=True)
        # the key is 128 random bits in hex, so it cannot end the literal
        query = f"select * from tenant.{TENANT_DAILY} where tenant_key = '{bundle.tenant_key}' order by activity_date"
        digest = self._digest(source, query)
        check = key_check(bundle.key)
        if self._reused(name, digest, check):
            return
        self._changed = True
        rows = self._database(source, folder / "tenant.duckdb", TENANT_DAILY, query, bundle.key)
        relations = {TENANT_DAILY: {"rows": rows, "digest": digest}}
        self._manifest(folder, relations, {"exact": True, "key_check": check})

    def _reused(self, name: str, digest: str, key_check: str | None = None) -> bool:
        """Link the last release's files into this one where they hold the same relation under the same key."""
        last = self._last / name if self._last else None
        if last is None or not (last / "manifest.json").is_file():
            return False
        known = manifest(last)
        if [r["digest"] for r in known["relations"].values()] != [digest]:
            return False
        if known["privacy"].get("key_check") != key_check:
            return False
        for file in last.iterdir():
            target = self._folder / name / file.name
            target.unlink(missing_ok=True)
            os.link(file, target)
        return True

    def _digest(self, source: duckdb.DuckDBPyConnection, query: str) -> str:
        """Return the canonical digest of a relation: SHA-256 of plain Parquet under a total order."""
        scratch = self._workspace.restricted / "spill" / "digest.parquet"
        source.execute(f"copy ({query}) to '{quoted(scratch)}' (format parquet)")
        digest = _sha256(scratch)
        scratch.unlink()
        return digest

    def _database(
        self, source: duckdb.DuckDBPyConnection, file: Path, relation: str, query: str, key: str | None
    ) -> int:
        """Write one relation with its comments into a new DuckDB file, encrypted where there is a key."""
        options = [f"block_size {BLOCK_SIZE}"] + ([f"encryption_key '{key}'"] if key else [])
        source.execute(f"attach '{quoted(file)}' as bundle ({', '.join(options)})")
        try:
            source.execute(f"create table bundle.{relation} as {query}")
            description, columns = self._descriptions[relation]
            source.execute(f"comment on table bundle.{relation} is '{quoted(description)}'")
            for column, text in columns.items():
                source.execute(f"comment on column bundle.{relation}.{column} is '{quoted(text)}'")
            row = source.execute(f"select count(*) from bundle.{relation}").fetchone()
        finally:
            source.execute("detach bundle")
        return int(row[0]) if row else 0

    def _manifest(self, folder: Path, relations: dict[str, Any], privacy: dict[str, Any]) -> None:
        """Describe a folder's own files only: another tenant's volume is nobody's business."""
        files = {p.name: {"sha256": _sha256(p), "bytes": p.stat().st_size} for p in sorted(folder.iterdir())}
        _write(folder / "manifest.json", {"files": files, "relations": relations, "privacy": privacy})
        for file in folder.iterdir():
            _sync(file)


def refuse_if_behind(workspace: Workspace, ledger: Ledger) -> None:
    """Raise Refused unless this is the ledger that the published release names, and no older than then."""
    folder = current(workspace)
    if folder is not None:
        known = manifest(folder / CROSS_TENANT)["privacy"]
        ledger.refuse_if_behind(known["ledger"], known["ledger_entries"])


def verify(workspace: Workspace) -> int:
    """Recheck every file of the current release against both manifests; return how many there are."""
    folder = current(workspace)
    if folder is None:
        return 0
    try:
        listed = json.loads((workspace.operator_manifests / f"{folder.name}.json").read_text("utf-8"))["files"]
    except (OSError, ValueError, KeyError):
        raise Refused(
            f"release {folder.name} has no operator's manifest: restore restricted/ or publish again"
        ) from None
    found = {str(p.relative_to(folder)): p for p in folder.rglob("*") if not p.is_dir()}
    for name in sorted(set(listed) | set(found)):
        if name not in found:
            raise Refused(f"release {folder.name}: {name} is missing")
        if name not in listed:
            raise Refused(f"release {folder.name}: {name} was not published")
        if _sha256(found[name]) != listed[name]:
            raise Refused(f"release {folder.name}: {name} was changed after it was published")
    return len(found)


def _write(path: Path, content: dict[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise QuorumError(f"cannot write {path.name} to disk: {error.strerror}") from error
    finally:
        os.close(descriptor)
