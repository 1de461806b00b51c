"""Publishing: a new directory, manifests, fsync, and one symlink that moves.

``published/current`` points to an immutable ``releases/<id>/``. A folder whose relations did not change keeps its files
(hard links), and a run that changed nothing makes no release.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb

from quorum import bundles, digests, warehouse
from quorum.bundles import Bundle
from quorum.digests import Content
from quorum.errors import QuorumError, Refused
from quorum.ledger import Ledger
from quorum.marts import VS_BENCHMARK, Published, Relation
from quorum.warehouse import quoted
from quorum.workspace import Workspace

CROSS_TENANT = "cross_tenant"
TENANTS = "tenants"
KEPT_RELEASES = 14

Progress = Callable[[str], None]


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

    def __init__(self, workspace: Workspace, published: Published, facts: dict[str, Any]) -> None:
        self._workspace = workspace
        self._published = published
        self._facts = facts
        self._last = current(workspace)
        self.id = secrets.token_hex(8)
        self._folder = workspace.published / "releases" / self.id
        self._changed = False

    def build(self, tenants: list[Bundle], progress: Progress) -> None:
        """Write the benchmarks and a bundle for each tenant."""
        self._folder.mkdir(parents=True)
        with warehouse.attached(self._workspace, "tenant", "released") as source:
            self._benchmarks(source)
            self._bundles(source, tenants, progress)

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
        contents = {mart.name: self._parquet(source, mart, folder) for mart in self._published.benchmarks}
        if self._reused(folder, contents):
            return
        self._changed = True
        with bundles.staged(source) as stage:
            for mart in self._published.benchmarks:
                stage.add(mart, f"select * from released.{mart.name}")
            stage.write(folder / "benchmarks.duckdb")
        self._manifest(folder, contents, self._facts["privacy"])

    def _parquet(self, source: duckdb.DuckDBPyConnection, mart: Relation, folder: Path) -> Content:
        """Write a mart as Parquet, in one order, with the meaning of its columns inside."""
        parquet = folder / f"{mart.name}.parquet"
        meaning = {column.name: column.meaning for column in mart.columns if column.meaning}
        metadata = ", ".join(f"{name}: '{quoted(text)}'" for name, text in meaning.items())
        [(rows,)] = source.execute(
            f"copy (select * from released.{mart.name} order by all) to '{quoted(parquet)}' "
            f"(format parquet, kv_metadata {{{metadata}}})"
        ).fetchall()
        return {"rows": rows, "digest": _sha256(parquet)}

    def _bundles(self, source: duckdb.DuckDBPyConnection, tenants: list[Bundle], progress: Progress) -> None:
        contents = digests.of_bundles(source, self._published, [bundle.tenant_key for bundle in tenants])
        changed = []
        for bundle in tenants:
            folder = self._folder / TENANTS / bundle.tenant_key
            folder.mkdir(parents=True)
            if not self._reused(folder, contents[bundle.tenant_key], bundle.key_check):
                changed.append(bundle)
        kept = {folder.name for folder in (self._last / TENANTS).iterdir()} if self._last else set()
        self._changed |= bool(changed) or kept != {bundle.tenant_key for bundle in tenants}
        if not changed:
            return
        with bundles.staged(source) as stage:
            stage.add_marts(self._published, [bundle.tenant_key for bundle in changed])
            for number, bundle in enumerate(changed, start=1):
                folder = self._folder / TENANTS / bundle.tenant_key
                stage.write(folder / "tenant.duckdb", bundle)
                privacy = {"exact": True, "but_for": VS_BENCHMARK, "key_check": bundle.key_check}
                self._manifest(folder, contents[bundle.tenant_key], privacy)
                if number % 100 == 0:
                    progress(f"{number} of {len(changed)} bundles that changed")

    def _reused(self, folder: Path, contents: Mapping[str, Content], key_check: str | None = None) -> bool:
        """Link the last release's files into this one where they hold the same relations under the same key."""
        last = self._last / folder.relative_to(self._folder) if self._last else None
        if last is None or not (last / "manifest.json").is_file():
            return False
        known = manifest(last)
        if known["relations"] != contents or known["privacy"].get("key_check") != key_check:
            return False
        for file in last.iterdir():
            target = folder / file.name
            target.unlink(missing_ok=True)
            os.link(file, target)
        return True

    def _manifest(self, folder: Path, contents: Mapping[str, Content], privacy: dict[str, Any]) -> None:
        """Describe a folder's own files only: another tenant's volume is nobody's business."""
        files = {p.name: {"sha256": _sha256(p), "bytes": p.stat().st_size} for p in sorted(folder.iterdir())}
        _write(folder / "manifest.json", {"files": files, "relations": contents, "privacy": privacy})
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
