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

from quorum import bundles, digests, release_folders, warehouse
from quorum.bundles import Bundle
from quorum.digests import Content
from quorum.errors import Refused
from quorum.marts import VS_BENCHMARK, Published, Relation
from quorum.pages import benchmarks, sealing
from quorum.pages.tenants import TenantPages
from quorum.release_folders import CROSS_TENANT, MANIFEST, TENANTS, sha256, sync
from quorum.warehouse import quoted
from quorum.workspace import Workspace

PAGE = "index.html"

Progress = Callable[[str], None]


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
        self._last = release_folders.current(workspace)
        said = release_folders.operator_manifest(workspace, self._last.name) if self._last else {}
        self._last_rows: dict[str, dict[str, int]] = said.get("rows", {})
        self._last_files = release_folders.by_folder(said.get("files", {}))
        self.id = secrets.token_hex(8)
        self._folder = workspace.published / "releases" / self.id
        self._rows: dict[str, dict[str, int]] = {}  # of each bundle's marts
        self._changed = False

    def build(
        self, tenants: list[Bundle], withheld: Collection[str], outdated: Collection[str], progress: Progress
    ) -> None:
        """Write the benchmarks and a bundle for each tenant.

        One that is withheld stays as the last release has it, unless that is outdated. Raises Refused where it is to
        stay and is not what was published.
        """
        self._folder.mkdir(parents=True)
        self._progress = progress
        with warehouse.attached(self._workspace, "restricted", "tenant", "released") as source:
            self._benchmarks(source)
            self._bundles(source, [bundle for bundle in tenants if bundle.tenant_key not in withheld])
        for bundle in tenants:
            if bundle.tenant_key in withheld and bundle.tenant_key not in outdated:
                self._keep(bundle)
        kept = {folder.name for folder in (self._last / TENANTS).glob("*")} if self._last else set()
        self._changed |= kept != {folder.name for folder in (self._folder / TENANTS).glob("*")}

    @property
    def last(self) -> str | None:
        """The release that readers had when this one was begun."""
        return self._last.name if self._last else None

    def outdated(self, withheld: list[Bundle], erased: Collection[str]) -> set[str]:
        """Return the keys of the tenants whose last bundles may not stay: with an erasure since, or a former key."""
        found = set(erased)
        for bundle in withheld:
            last = self._of_last(self._folder / TENANTS / bundle.tenant_key)
            if last and release_folders.manifest(last)["privacy"]["key_check"] != bundle.key_check:
                found.add(bundle.tenant_key)
        return found

    def publish(self) -> str | None:
        """Make it current and return its id; return None, and leave nothing, where nothing changed."""
        if not self._changed:
            self.discard()
            return None
        listing = {str(p.relative_to(self._folder)): sha256(p) for p in sorted(self._folder.rglob("*")) if p.is_file()}
        operator = self._workspace.operator_manifests
        operator.mkdir(exist_ok=True)
        _write(
            operator / f"{self.id}.json",
            {
                "release": self.id,
                "previous": self.last,
                **self._facts,
                "rows": self._rows,
                "files": listing,
            },
        )
        for folder in [self._folder, *(p for p in self._folder.rglob("*") if p.is_dir())]:
            sync(folder)
        sync(self._folder.parent)
        release_folders.move(self._workspace, self.id)
        return self.id

    def discard(self) -> None:
        """Remove all that was built, unless it is what readers see."""
        if release_folders.current(self._workspace) != self._folder.resolve():
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
        return {"rows": rows, "digest": sha256(parquet)}

    def _bundles(self, source: duckdb.DuckDBPyConnection, tenants: list[Bundle]) -> None:
        keys = [bundle.tenant_key for bundle in tenants]
        contents = digests.of_bundles(source, self._published, keys)
        pages = TenantPages.of(source, self._workspace, self._published, keys)
        changed = []
        for bundle in tenants:
            folder = self._folder / TENANTS / bundle.tenant_key
            folder.mkdir(parents=True)
            checks = {"key_check": bundle.key_check, "page_check": pages.check(bundle)}
            privacy = {"exact": True, "but_for": VS_BENCHMARK, **checks}
            relations = contents[bundle.tenant_key]
            self._rows[bundle.tenant_key] = {name: content["rows"] for name, content in relations.items()}
            described = _described(relations, bundle)
            if not self._reused(folder, described, privacy):
                changed.append((bundle, described, privacy))
        self._changed |= bool(changed)
        if not changed:
            return
        with bundles.staged(source) as stage:
            stage.add_marts(self._published, [bundle.tenant_key for bundle, *_ in changed])
            for number, (bundle, relations, privacy) in enumerate(changed, start=1):
                folder = self._folder / TENANTS / bundle.tenant_key
                stage.write(folder / "tenant.duckdb", bundle)
                (folder / PAGE).write_bytes(pages.page(bundle))
                self._manifest(folder, relations, privacy)
                if number % 100 == 0:
                    self._progress(f"{number} of {len(changed)} bundles that changed")

    def _keep(self, bundle: Bundle) -> None:
        folder = self._folder / TENANTS / bundle.tenant_key
        last = self._of_last(folder)
        if last is None:
            return
        if not self._is_as_published(last):
            raise Refused(f"{last} was changed after it was published, and is to stay: put it back")
        folder.mkdir(parents=True)
        self._link(folder)
        self._rows[bundle.tenant_key] = self._last_rows.get(bundle.tenant_key, {})

    def _reused(self, folder: Path, contents: Mapping[str, Content], privacy: Mapping[str, Any]) -> bool:
        """Link the last release's files into this one where they hold the same, page included, under the same key."""
        last = self._of_last(folder)
        if last is None:
            return False
        if not self._is_as_published(last):
            self._progress(f"{last} was changed after it was published: it is written anew")
            return False
        known = release_folders.manifest(last)
        checks = ("key_check", "page_check")
        if known["relations"] != contents or any(known["privacy"].get(each) != privacy.get(each) for each in checks):
            return False
        self._link(folder)
        return True

    def _of_last(self, folder: Path) -> Path | None:
        """Return the same folder of the last release, where it has one."""
        last = self._last / folder.relative_to(self._folder) if self._last else None
        return last if last and (last / MANIFEST).is_file() else None

    def _is_as_published(self, last: Path) -> bool:
        """Tell whether a folder of the last release holds what was published in it."""
        return release_folders.holds(last, self._last_files.get(str(last.relative_to(str(self._last))), {}))

    def _link(self, folder: Path) -> None:
        for file in (self._of_last(folder) or folder).iterdir():
            target = folder / file.name
            target.unlink(missing_ok=True)
            os.link(file, target)

    def _manifest(self, folder: Path, contents: Mapping[str, Content], privacy: dict[str, Any]) -> None:
        """Describe a folder's own files only: another tenant's volume is nobody's business."""
        files = {p.name: {"sha256": sha256(p), "bytes": p.stat().st_size} for p in sorted(folder.iterdir())}
        _write(folder / MANIFEST, {"files": files, "relations": contents, "privacy": privacy})
        for file in folder.iterdir():
            sync(file)


def _described(relations: Mapping[str, Content], bundle: Bundle) -> dict[str, Content]:
    """Return what a tenant's manifest says of its relations: what tells the same rows from others, with its key alone.

    How many rows there are and what they hash to is nobody else's business: who knew all of a mart's rows but those of
    one user would learn from a hash whether these are in it.
    """
    return {name: {"check": sealing.check(each["digest"].encode(), bundle.key)} for name, each in relations.items()}


def _write(path: Path, content: dict[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
