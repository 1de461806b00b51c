"""Going back to an earlier release, whole, as readers had it."""

from typing import Any

from quorum import release_folders
from quorum.audit import AuditLog
from quorum.errors import BadInput, Refused
from quorum.release_folders import chain, operator_manifest
from quorum.workspace import Workspace

# What was forgotten since would be back.
FORGETTING = ("erasure", "keys_shredded")


def kept(workspace: Workspace) -> list[dict[str, Any]]:
    """Return the releases that can be gone back to, the newest first, with the day that each was made as of."""
    here = release_folders.current(workspace)
    names = chain(workspace, here.name) if here else []
    return [{"release": name, "as_of": operator_manifest(workspace, name).get("as_of")} for name in names]


def to(workspace: Workspace, release: str | None) -> tuple[str, str]:
    """Move readers to a kept release, by default the one before; return that one and the one that they had.

    Raises BadInput where it is not kept, Refused where a file of it is not as it was published, or where it holds what
    was forgotten since. The next run that publishes goes on from there.
    """
    here = release_folders.current(workspace)
    if here is None:
        raise BadInput("nothing is published yet: there is nothing to go back to")
    before = [name for name in chain(workspace, here.name) if name != here.name]
    if not release and not before:
        raise BadInput(f"{here.name} is the first release: there is none before it")
    wanted = release or before[0]
    if wanted not in before:
        raise BadInput(f"{wanted} is no release that is kept before {here.name}: `quorum status` lists them")
    release_folders.verify(workspace, wanted)
    audit = AuditLog(workspace)
    kinds = [(entry.kind, entry.facts.get("release")) for entry in audit.records()]
    since = kinds[kinds.index(("release_published", wanted)) :] if ("release_published", wanted) in kinds else kinds
    if any(kind in FORGETTING for kind, _ in since):
        raise Refused(f"release {wanted} holds what was erased since: mend the cause and run again instead")
    release_folders.move(workspace, wanted)
    audit.append("rolled_back", release=wanted, instead_of=here.name)
    return wanted, here.name
