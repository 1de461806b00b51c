"""The folders of releases: which one readers see, which are kept, and whether each is as it was published.

``published/current`` is a link to one of ``published/releases/``. What a release was when it was published, the
operator's manifest in ``restricted/releases/`` says; those in the folders of a release are for their readers.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from quorum.errors import QuorumError, Refused
from quorum.gate import Last
from quorum.hash_chain import ChainedLog, Entry
from quorum.ledger import Ledger
from quorum.workspace import Workspace

CROSS_TENANT = "cross_tenant"
TENANTS = "tenants"
MANIFEST = "manifest.json"
KEPT_RELEASES = 14


def current(workspace: Workspace) -> Path | None:
    """Return the directory of the release that readers see."""
    link = workspace.published / "current"
    return link.resolve() if link.is_symlink() else None


def manifest(folder: Path) -> dict[str, Any]:
    """Read a folder's manifest."""
    try:
        content: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        raise Refused(f"{folder / MANIFEST} cannot be read: put the release back") from None
    return content


def operator_manifest(workspace: Workspace, release: str) -> dict[str, Any]:
    """Return what the operator's manifest says of a release; nothing where it cannot be read."""
    try:
        content = json.loads((workspace.operator_manifests / f"{release}.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def chain(workspace: Workspace, release: str) -> list[str]:
    """Return a release and those that were kept before it, the newest first; of these, none that nobody could check."""
    names: list[str] = []
    name: object = release
    seen: set[object] = set()
    while isinstance(name, str) and name not in seen and len(names) < KEPT_RELEASES:
        seen.add(name)
        said = operator_manifest(workspace, name)
        if (workspace.published / "releases" / name).is_dir() and (said or name == release):
            names.append(name)
        name = said.get("previous")
    return names


def move(workspace: Workspace, release: str) -> None:
    """Point readers to a release that is on disk, in one step."""
    link = workspace.published / "next"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("releases") / release)
    link.replace(workspace.published / "current")
    sync(workspace.published)


def sweep(workspace: Workspace) -> None:
    """Remove what a killed run left, and releases older than the last ``KEPT_RELEASES``.

    Raises Refused where readers see a folder and no link. Nothing that was published goes while they see nothing.
    """
    link = workspace.published / "current"
    if link.exists() and not link.is_symlink():
        raise Refused(f"{link} is no link to one of the releases beside it: make it one, or move it away")
    (workspace.published / "next").unlink(missing_ok=True)
    for file in (workspace.restricted / "spill").iterdir():
        file.unlink()
    here = current(workspace)
    if not (here and here.is_dir()) and _has_published(workspace):
        return
    kept = chain(workspace, here.name) if here else []
    for folder in (workspace.published / "releases").glob("*"):
        if folder.name not in kept:
            shutil.rmtree(folder)
    for file in workspace.operator_manifests.glob("*.json"):
        if file.stem not in kept:
            file.unlink()


def _has_published(workspace: Workspace) -> bool:
    return any(entry.kind == "release_published" for entry in ChainedLog(workspace.audit_log).records())


def last(workspace: Workspace, tenants: set[str]) -> Last:
    """Return what readers have now, for the gate to compare with: of tenants that still are to have a bundle."""
    folder = current(workspace)
    if folder is None:
        return Last()
    rows = operator_manifest(workspace, folder.name).get("rows", {})
    return Last({tenant: marts for tenant, marts in rows.items() if tenant in tenants}, folder / CROSS_TENANT)


def refuse_if_behind(workspace: Workspace, ledger: Ledger) -> None:
    """Raise Refused unless this is the ledger that the published release names, and no older than then."""
    folder = current(workspace)
    if folder is not None:
        known = manifest(folder / CROSS_TENANT)["privacy"]
        ledger.refuse_if_behind(known["ledger"], known["ledger_entries"])


def refuse_elsewhere(workspace: Workspace, audit: Sequence[Entry]) -> None:
    """Raise Refused unless readers see what the audit log says, or the release that a killed run made from it."""
    here = current(workspace)
    release = here.name if here else None
    known = [each.facts["release"] for each in audit if each.kind in ("release_published", "rolled_back")]
    if known and known[-1] not in (release, operator_manifest(workspace, str(release)).get("previous")):
        raise Refused(
            f"published/current is not the release {known[-1]} that readers were moved to: "
            f"link it to releases/{known[-1]} again, or run again"
        )


def verify(workspace: Workspace, release: str | None = None) -> int:
    """Recheck every file of a release, by default the current one, against both manifests; return their number."""
    folder = workspace.published / "releases" / release if release else current(workspace)
    return _verify(workspace, folder, {}) if folder else 0


def verify_all(workspace: Workspace) -> int:
    """Recheck the release that readers see and those that are kept before it; return how many files the first has."""
    here = current(workspace)
    if here is None:
        return 0
    known: dict[tuple[int, int], str] = {}
    found = _verify(workspace, here, known)
    for name in chain(workspace, here.name):
        if name != here.name:
            _verify(workspace, workspace.published / "releases" / name, known)
    return found


def _verify(workspace: Workspace, folder: Path, known: dict[tuple[int, int], str]) -> int:
    """Recheck the files of a folder; a file that several releases share is read once."""
    listed = operator_manifest(workspace, folder.name).get("files")
    if not isinstance(listed, dict):
        raise Refused(f"release {folder.name} has no operator's manifest: restore restricted/ or publish again")
    everything = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    found = {name: path for name, path in everything.items() if path.is_symlink() or not path.is_dir()}
    folders = {str(parent) for name in listed for parent in Path(name).parents}
    for name in sorted(listed.keys() | everything.keys()):
        if name not in everything:
            raise Refused(f"release {folder.name}: {name} is missing")
        if name not in listed and (name in found or name not in folders):
            raise Refused(f"release {folder.name}: {name} was not published")
        if name in listed and _digest(found.get(name), known) != listed[name]:
            raise Refused(f"release {folder.name}: {name} was changed after it was published")
    for path in found.values():
        if path.name == MANIFEST:
            for file, facts in manifest(path.parent)["files"].items():
                name = str(path.with_name(file).relative_to(folder))
                if listed.get(name) != facts["sha256"]:
                    raise Refused(f"release {folder.name}: {name} is not what the manifest beside it says")
    return len(found)


def _digest(path: Path | None, known: dict[tuple[int, int], str]) -> str | None:
    """Return a file's SHA-256; nothing for what is a link or no file."""
    if path is None or path.is_symlink():
        return None
    stat = path.stat()
    place = (stat.st_dev, stat.st_ino)
    if place not in known:
        known[place] = sha256(path)
    return known[place]


def by_folder(files: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the files that an operator's manifest lists, and their hashes, by the folders that they are in."""
    found: dict[str, dict[str, str]] = {}
    for name, digest in files.items():
        folder, _, file = name.rpartition("/")
        found.setdefault(folder, {})[file] = digest
    return found


def holds(folder: Path, files: Mapping[str, str]) -> bool:
    """Tell whether a folder holds these files, byte for byte, and nothing else."""
    return files == {path.name: _digest(path, {}) for path in folder.iterdir()}


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Bring a file or folder to the disk; raises QuorumError where that fails."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise QuorumError(f"cannot write {path.name} to disk: {error.strerror}") from error
    finally:
        os.close(descriptor)
