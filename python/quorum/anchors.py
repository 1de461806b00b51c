"""What the audit log and the ledger know of each other, since no chain sees that its own end is gone.

A head is a chain's length and the hash of its newest entry. A command that ends well writes the ledger's head into the
audit log, then the audit log's into the ledger, then both into ``restricted/heads.json``; a release's manifest for
the operator holds both, too. A chain may be ahead of what is known of it, for a command can be killed in between, and
never behind. Whoever writes the head down that ``quorum run`` prints can tell even when all of it was put back.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from quorum import release_folders
from quorum.errors import BadInput, Refused
from quorum.hash_chain import ChainedLog, Entry, check
from quorum.ledger import Ledger
from quorum.workspace import Workspace

AUDIT, LEDGER = "audit", "ledger"
NAMES = {AUDIT: "audit.jsonl", LEDGER: "ledger"}


@dataclass(frozen=True)
class Head:
    """How long a chain is, and the hash of its newest entry, or the beginning of it."""

    entries: int
    head: str

    @classmethod
    def of(cls, entry: Entry) -> "Head":
        return cls(entry.seq, entry.hash)

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read what ``str`` wrote."""
        found = re.fullmatch("([1-9][0-9]{0,8})-([0-9a-f]{20})", text.strip())
        if not found:
            raise BadInput("a head is a number, a dash and 20 hex digits, as `quorum run` printed it")
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.entries}-{self.head[:20]}"


@dataclass(frozen=True)
class Known:
    """That a chain had a head, and who says so."""

    chain: str
    head: Head
    by: str
    at: int  # how long the ledger was when it was said

    def check(self, entries: Sequence[Entry]) -> None:
        """Raise Refused unless the chain still has that head, at its end or before."""
        name, expected = NAMES[self.chain], self.head
        if len(entries) < expected.entries:
            raise Refused(
                f"{name}: cut short, or an older copy was put back: it has {len(entries)} entries, "
                f"and {self.by} knows {expected.entries}; put the newest back"
            )
        if not entries[expected.entries - 1].hash.startswith(expected.head):
            raise Refused(
                f"{name}: entry {expected.entries} is not the one that {self.by} knows: "
                "it was written anew; put the newest back"
            )


@dataclass(frozen=True)
class Chains:
    """Both chains, each sound by itself."""

    audit: list[Entry]
    ledger: list[Entry]

    @classmethod
    def read(cls, workspace: Workspace, ledger: Ledger) -> "Chains":
        entries = ledger.entries()  # before the log that it knows of: a run may be at work
        return cls(_audit(workspace), entries)

    @property
    def losses(self) -> list[Entry]:
        """What the operator said about a lost audit log, in the ledger."""
        return [entry for entry in self.ledger if entry.kind == "loss"]

    def check(self, known: Sequence[Known]) -> None:
        """Raise Refused unless both hold all that is known, but of an audit log whose loss was accepted."""
        accepted = self.losses[-1].seq if self.losses else 0
        for each in known:
            if each.chain == LEDGER:
                each.check(self.ledger)
            elif each.at >= accepted:
                each.check(self.audit)


def append(workspace: Workspace, kind: str, **facts: Any) -> Entry:
    """Append to the audit log, and let ``heads.json`` follow; never where it is not, or may not be, the log it knew."""
    with _alone(workspace):
        log, heads = ChainedLog(workspace.audit_log), _heads(workspace)
        known = heads.get(AUDIT)
        found = log.entry(known.entries) if known else None
        entry = log.append(kind, **facts)
        if (found and found.hash == known.head) if known else entry.seq == 1:
            _write(workspace, heads | {AUDIT: Head.of(entry)})
    return entry


def open_ledger(workspace: Workspace) -> Ledger:
    """Open the ledger for a run, if it and the audit log are what is known of them.

    A new one is made only inside the workspace, and where no run has ended before: else noise could be averaged away.
    """
    if not (workspace.ledger_is_outside or _had_ledger(workspace)):
        with suppress(Refused):  # it is there
            Ledger.create(workspace.ledger_url)
    return known_ledger(workspace)


def create_ledger(workspace: Workspace) -> Ledger:
    """Make the ledger outside the workspace, on purpose: so a URL with a slip in it finds none, and makes none.

    One inside is made by the first run. Raises Refused where this workspace had a ledger.
    """
    if not workspace.ledger_is_outside:
        raise BadInput("set QUORUM_LEDGER to where it shall be: the first run makes the one inside the workspace")
    if _had_ledger(workspace):
        raise Refused("this workspace had a ledger: put that one back, a new one would forget what was spent")
    return Ledger.create(workspace.ledger_url)


def known_ledger(workspace: Workspace) -> Ledger:
    """Open the ledger; raises Refused where it is missing, older, or another than this workspace has known."""
    ledger = Ledger.open(workspace.ledger_url)
    release_folders.refuse_if_behind(workspace, ledger)
    verify(workspace, ledger)
    return ledger


def _had_ledger(workspace: Workspace) -> bool:
    return release_folders.current(workspace) is not None or any(
        entry.kind == "anchor" for entry in ChainedLog(workspace.audit_log).records()
    )


def heads(workspace: Workspace, ledger: Ledger) -> dict[str, Any]:
    """Return both heads as they are now, for the operator's manifest."""
    chains = Chains.read(workspace, ledger)
    return {AUDIT: asdict(Head.of(chains.audit[-1])), LEDGER: asdict(Head.of(chains.ledger[-1]))}


def tie(workspace: Workspace, ledger: Ledger) -> Head:
    """Let each chain know the other's head; return the one to write down, which speaks for both."""
    last = append(workspace, "anchor", **asdict(Head.of(ledger.entries()[-1])))
    newest = Head.of(ledger.append_head("anchor", asdict(Head.of(last))))
    with _alone(workspace):
        _write(workspace, {AUDIT: Head.of(last)} | _heads(workspace) | {LEDGER: newest})
    return newest


def verify(workspace: Workspace, ledger: Ledger) -> Chains:
    """Return both chains; raises Refused where either is broken, cut short, an old copy or another one."""
    # a run may be at work: what is known is read before what it is known of, which may be ahead
    heads, manifests, by_audit = _heads(workspace), _by_manifests(workspace), _by_audit(_audit(workspace))
    chains = Chains.read(workspace, ledger)
    by_chains = _by_ledger(chains.ledger) + by_audit
    if by_chains and not heads:
        raise Refused(f"{workspace.heads} is missing: put the newest back")
    # whose end was written anew may accuse the other; who saw both is asked first
    chains.check(_known_of(heads, workspace.heads.name) + manifests + by_chains)
    for entry in chains.audit:
        if entry.kind == "release_published":
            manifest = workspace.operator_manifests / f"{entry.facts['release']}.json"
            if manifest.exists() and sha256(manifest.read_bytes()).hexdigest() != entry.facts["manifest"]:
                raise Refused(f"{manifest} was changed after it was published: put it back")
    return chains


def contains(chains: Chains, written_down: str) -> None:
    """Raise Refused unless the ledger still has a head that somebody wrote down, and with it all that it knew."""
    Known(LEDGER, Head.parse(written_down), "the head that was written down", 0).check(chains.ledger)


def accept_loss(workspace: Workspace, ledger: Ledger) -> None:
    """Go on with an audit log that is older than what is known of it; both chains tell of it for good.

    The ledger's own loss is never accepted: noise could be averaged away.
    """
    with suppress(Refused):
        verify(workspace, ledger)
        raise BadInput("nothing is lost: nothing was written")
    chains = Chains.read(workspace, ledger)
    known = _by_manifests(workspace) + _by_ledger(chains.ledger) + _by_audit(chains.audit)
    chains.check([each for each in known if each.chain == LEDGER])
    most = max((each.head.entries for each in known if each.chain == AUDIT), default=0)
    with _alone(workspace):
        last = ChainedLog(workspace.audit_log).append("loss_accepted", known=most, found=len(chains.audit))
        _write(workspace, {AUDIT: Head.of(last), LEDGER: Head.of(ledger.append_head("loss", asdict(Head.of(last))))})


def _audit(workspace: Workspace) -> list[Entry]:
    return check(ChainedLog(workspace.audit_log).records(), NAMES[AUDIT])


def _by_ledger(entries: list[Entry]) -> list[Known]:
    said = [entry for entry in entries if entry.kind in ("anchor", "loss")]
    return [Known(AUDIT, Head(**entry.facts), "the ledger", entry.seq) for entry in said]


def _by_audit(entries: list[Entry]) -> list[Known]:
    heads = [Head(**entry.facts) for entry in entries if entry.kind == "anchor"]
    return [Known(LEDGER, head, "the audit log", head.entries) for head in heads]


def _by_manifests(workspace: Workspace) -> list[Known]:
    known = []
    for path in sorted(workspace.operator_manifests.glob("*.json")):
        try:
            chains = json.loads(path.read_text("utf-8")).get("chains", {})
            known += _known_of({name: Head(**head) for name, head in chains.items()}, f"the manifest {path.stem}")
        except (OSError, ValueError, TypeError, AttributeError):
            raise Refused(f"{path} cannot be read: put it back") from None
    return known


def _known_of(heads: dict[str, Head], by: str) -> list[Known]:
    at = heads[LEDGER].entries if LEDGER in heads else 0
    return [Known(chain, head, by, at) for chain, head in heads.items()]


def _heads(workspace: Workspace) -> dict[str, Head]:
    if not workspace.heads.exists():
        return {}
    try:
        return {chain: Head(**head) for chain, head in json.loads(workspace.heads.read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        raise Refused(f"{workspace.heads} cannot be read: put the newest back") from None


@contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    """Keep log and heads together: a command that holds no workspace, as who hands a key over, appends beside a run."""
    handle = os.open(workspace.restricted, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write(workspace: Workspace, heads: dict[str, Head]) -> None:
    temporary = workspace.heads.with_name(f"{workspace.heads.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump({chain: asdict(head) for chain, head in heads.items()}, file, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(workspace.heads)
