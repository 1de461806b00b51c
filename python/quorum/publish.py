"""Publishing: a new directory, manifests, fsync, and one symlink that moves.

``published/current`` points to an immutable ``releases/<id>/``. A folder whose relations did not change keeps its files
(hard links), and a run that changed nothing makes no release.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from quorum import bundles, digests, warehouse
from quorum.bundles import Bundle
from quorum.digests import Content
from quorum.errors import QuorumError, Refused
from quorum.gate import Last
from quorum.ledger import Ledger
from quorum.marts import VS_BENCHMARK, Published, Relation
from quorum.pages import benchmarks
from quorum.pages.tenants import TenantPages
from quorum.warehouse import quoted
from quorum.workspace import Workspace

CROSS_TENANT = "cross_tenant"
TENANTS = "tenants"
PAGE = "index.html"
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
    kept = chain(workspace, here.name) if here else []
    for folder in (workspace.published / "releases").glob("*"):
        if folder.name not in kept:
            shutil.rmtree(folder)
    for file in workspace.operator_manifests.glob("*.json"):
        if file.stem not in kept:
            file.unlink()


def chain(workspace: Workspace, release: str) -> list[str]:
    """Return a release and those that were kept before it, the newest first."""
    names: list[str] = []
    name: object = release
    while isinstance(name, str) and len(names) < KEPT_RELEASES and (workspace.published / "releases" / name).is_dir():
        names.append(name)
        name = operator_manifest(workspace, name).get("previous")
    return names


def operator_manifest(workspace: Workspace, release: str) -> dict[str, Any]:
    """Return what the operator's manifest says of a release; nothing where it cannot be read."""
    try:
        content = json.loads((workspace.operator_manifests / f"{release}.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def move(workspace: Workspace, release: str) -> None:
    """Point readers to a release that is on disk, in one step."""
    link = workspace.published / "next"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("releases") / release)
    link.replace(workspace.published / "current")
    _sync(workspace.published)


class Publication:
    """A release in the making. Nothing of it is seen before ``publish``."""

    def __init__(
        self, workspace: Workspace, published: Published, facts: dict[str, Any], budgets: Sequence[Mapping[str, Any]]
    ) -> None:
        """Take what the manifests are to say, and what is spent and left, which is on the benchmarks' page."""
        self._workspace = workspace
        self._published = published
        self._facts = facts
        self._budgets = budgets
        self._last = current(workspace)
        self.id = secrets.token_hex(8)
        self._folder = workspace.published / "releases" / self.id
        self._changed = False

    def build(self, tenants: list[Bundle], withheld: Collection[str], progress: Progress) -> None:
        """Write the benchmarks and a bundle for each tenant; one that is withheld stays as the last release has it."""
        self._folder.mkdir(parents=True)
        with warehouse.attached(self._workspace, "restricted", "tenant", "released") as source:
            self._benchmarks(source)
            self._bundles(source, [bundle for bundle in tenants if bundle.tenant_key not in withheld], progress)
        for bundle in tenants:
            folder = self._folder / TENANTS / bundle.tenant_key
            if bundle.tenant_key in withheld and self._of_last(folder):
                folder.mkdir(parents=True)
                self._link(folder)
        kept = {folder.name for folder in (self._last / TENANTS).glob("*")} if self._last else set()
        self._changed |= kept != {folder.name for folder in (self._folder / TENANTS).glob("*")}

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
        move(self._workspace, self.id)
        return self.id

    def discard(self) -> None:
        """Remove all that was built."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _benchmarks(self, source: duckdb.DuckDBPyConnection) -> None:
        folder = self._folder / CROSS_TENANT
        folder.mkdir()
        contents = {mart.name: self._parquet(source, mart, folder) for mart in self._published.benchmarks}
        page = benchmarks.page(source, "released", self._budgets)
        privacy = {**self._facts["privacy"], "page_check": hashlib.sha256(page).hexdigest()}
        if self._reused(folder, contents, privacy):
            return
        self._changed = True
        with bundles.staged(source) as stage:
            for mart in self._published.benchmarks:
                stage.add(mart, f"select * from released.{mart.name}")
            stage.write(folder / "benchmarks.duckdb")
        (folder / PAGE).write_bytes(page)
        self._manifest(folder, contents, privacy)

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
        keys = [bundle.tenant_key for bundle in tenants]
        contents = digests.of_bundles(source, self._published, keys)
        pages = TenantPages.of(source, self._workspace, self._published, keys)
        changed = []
        for bundle in tenants:
            folder = self._folder / TENANTS / bundle.tenant_key
            folder.mkdir(parents=True)
            checks = {"key_check": bundle.key_check, "page_check": pages.check(bundle)}
            privacy = {"exact": True, "but_for": VS_BENCHMARK, **checks}
            if not self._reused(folder, contents[bundle.tenant_key], privacy):
                changed.append((bundle, privacy))
        self._changed |= bool(changed)
        if not changed:
            return
        with bundles.staged(source) as stage:
            stage.add_marts(self._published, [bundle.tenant_key for bundle, _ in changed])
            for number, (bundle, privacy) in enumerate(changed, start=1):
                folder = self._folder / TENANTS / bundle.tenant_key
                stage.write(folder / "tenant.duckdb", bundle)
                (folder / PAGE).write_bytes(pages.page(bundle))
                self._manifest(folder, contents[bundle.tenant_key], privacy)
                if number % 100 == 0:
                    progress(f"{number} of {len(changed)} bundles that changed")

    def _reused(self, folder: Path, contents: Mapping[str, Content], privacy: Mapping[str, Any]) -> bool:
        """Link the last release's files into this one where they hold the same, page included, under the same key."""
        last = self._of_last(folder)
        if last is None:
            return False
        known = manifest(last)
        checks = ("key_check", "page_check")
        if known["relations"] != contents or any(known["privacy"].get(each) != privacy.get(each) for each in checks):
            return False
        self._link(folder)
        return True

    def _of_last(self, folder: Path) -> Path | None:
        """Return the same folder of the last release, where it has one."""
        last = self._last / folder.relative_to(self._folder) if self._last else None
        return last if last and (last / "manifest.json").is_file() else None

    def _link(self, folder: Path) -> None:
        for file in (self._of_last(folder) or folder).iterdir():
            target = folder / file.name
            target.unlink(missing_ok=True)
            os.link(file, target)

    def _manifest(self, folder: Path, contents: Mapping[str, Content], privacy: dict[str, Any]) -> None:
        """Describe a folder's own files only: another tenant's volume is nobody's business."""
        files = {p.name: {"sha256": _sha256(p), "bytes": p.stat().st_size} for p in sorted(folder.iterdir())}
        _write(folder / "manifest.json", {"files": files, "relations": contents, "privacy": privacy})
        for file in folder.iterdir():
            _sync(file)


def last(workspace: Workspace, tenants: Collection[str]) -> Last:
    """Return what readers have now, for the gate to compare with: of tenants that still are to have a bundle."""
    folder = current(workspace)
    if folder is None:
        return Last()
    rows = {
        tenant.name: {mart: content["rows"] for mart, content in manifest(tenant)["relations"].items()}
        for tenant in (folder / TENANTS).glob("*")
        if tenant.name in tenants
    }
    return Last(rows, folder / CROSS_TENANT)


def refuse_if_behind(workspace: Workspace, ledger: Ledger) -> None:
    """Raise Refused unless this is the ledger that the published release names, and no older than then."""
    folder = current(workspace)
    if folder is not None:
        known = manifest(folder / CROSS_TENANT)["privacy"]
        ledger.refuse_if_behind(known["ledger"], known["ledger_entries"])


def verify(workspace: Workspace, release: str | None = None) -> int:
    """Recheck every file of a release, by default the current one, against both manifests; return their number."""
    folder = workspace.published / "releases" / release if release else current(workspace)
    if folder is None:
        return 0
    listed = operator_manifest(workspace, folder.name).get("files")
    if not isinstance(listed, dict):
        raise Refused(f"release {folder.name} has no operator's manifest: restore restricted/ or publish again")
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
