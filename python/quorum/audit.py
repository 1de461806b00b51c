"""The audit log: who ran what under which policy, what it released and spent, and what was refused.

It lies in the restricted plane. No entry holds a tenant id or a value from the data; tenants are named by
``tenant_key``, and people as they name themselves. ``KINDS`` lists every kind of entry with its facts;
``quorum.anchors`` finds where one went missing.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from quorum import anchors
from quorum.errors import Refused
from quorum.hash_chain import ChainedLog, Entry, salt
from quorum.keyring import Keyring
from quorum.ledger import Ledger
from quorum.workspace import Workspace

KINDS: Mapping[str, tuple[str, ...]] = {
    "run_started": ("as_of", "rebuild"),  # rebuild: first and last day that a backfill reads again, or null
    "run_failed": ("as_of", "error"),
    "run_ended": ("as_of", "release", "policy"),
    "policy_changed": ("changed", "old", "new"),  # digests; old is null the first time
    "keys_created": ("tenants", "tenant_keys"),
    "keys_rotated": ("epochs",),  # by tenant_key
    "keys_shredded": ("tenant_key", "epoch"),
    "master_key_rotated": ("again",),
    "erasure": ("tenant", "commitments", "rows"),  # commitments: of ids, under a nonce that is on the receipt alone
    "forgotten": ("blanked_files", "deleted_files", "tenants", "problems"),
    "charged": ("reservation", "population", "release", "period", "period_start", "rho", "delta_gate"),
    "release_published": ("release", "manifest", "bundles", "files", "salt", "inputs"),
    "bundles_withheld": ("tenant_keys",),  # the gate found fault with their rows
    "rolled_back": ("release", "instead_of"),
    # tenant keys whose roles read in PostgreSQL from now on, and no more; relations by kind of role; the access policy
    "mirrored": ("swap", "release", "policy", "granted", "withdrawn", "relations"),
    # a deeper look, in the words of those who ask and decide; rho is of one period
    "look_requested": (
        *("number", "on", "by", "why", "release", "metrics", "keys", "levels"),
        *("first", "last", "rho_atoms", "rho_parents", "until"),
    ),
    "look_decided": ("number", "on", "by", "why", "decision"),
    "key_handed_over": ("tenant_key", "on"),  # of a tenant's bundle
    "refused": ("command", "error", "at"),  # at: the function that refused
    "anchor": ("entries", "head"),  # the ledger as it is now
    "loss_accepted": ("known", "found"),  # entries
    "recovered": ("dropped_bytes",),  # a line that a crash had torn
}


class AuditLog:
    """The audit log of one workspace, safe between processes."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def append(self, kind: str, **facts: Any) -> Entry:
        """Write one entry; raises ValueError for facts that ``KINDS`` does not list."""
        if set(facts) != set(KINDS[kind]):
            raise ValueError(f"an entry of kind {kind} has the facts {', '.join(KINDS[kind])}")
        return anchors.append(self._workspace, kind, **facts)

    def records(self) -> list[Entry]:
        return ChainedLog(self._workspace.audit_log).records()

    def of(self, kind: str) -> list[Entry]:
        """Return the entries of one kind, oldest first."""
        return [entry for entry in self.records() if entry.kind == kind]

    def policy_in_force(self, digests: Mapping[str, str]) -> None:
        """Write down what the operator decided, where it is not what it was."""
        known = self.of("policy_changed")
        old = known[-1].facts["new"] if known else None
        changed = sorted(name for name in digests if old is None or old.get(name) != digests[name])
        if changed:
            self.append("policy_changed", changed=changed, old=old, new=dict(digests))

    def make_keys(self, keyring: Keyring, tenant_ids: Iterable[str]) -> None:
        """Make keys for tenants that have none, and write down for whom."""
        before = set(keyring.tenants())
        if keyring.ensure(tenant_ids):
            made = sorted(keys.tenant_key for tenant, keys in keyring.tenants().items() if tenant not in before)
            self.append("keys_created", tenants=len(made), tenant_keys=made)

    def charges(self, ledger: Ledger) -> None:
        """Write down what the ledger was charged since; what a killed run was charged, too."""
        known = {entry.facts["reservation"] for entry in self.of("charged")}
        for charge in ledger.charges():
            if charge.seq not in known:
                self.append(
                    "charged",
                    reservation=charge.seq,
                    population=charge.slot.population,
                    release=charge.slot.release,
                    period=charge.slot.period,
                    period_start=str(charge.slot.start),
                    rho=str(charge.cost.rho),
                    delta_gate=str(charge.cost.delta_gate),
                )

    def published(self, manifest: Path, bundles: int, inputs: Iterable[str]) -> None:
        """Write down a release, by its operator's manifest, and a salted digest of the files it was made of."""
        if any(entry.facts["release"] == manifest.stem for entry in self.of("release_published")):
            return
        files, salted = sorted(inputs), salt()
        self.append(
            "release_published",
            release=manifest.stem,
            manifest=sha256(manifest.read_bytes()).hexdigest(),
            bundles=bundles,
            files=len(files),
            salt=salted,
            inputs=sha256("\n".join([salted, *files]).encode()).hexdigest(),
        )

    def mirrored(self, **facts: Any) -> None:
        """Write down once that readers in PostgreSQL were moved, and who they are."""
        if not any(entry.facts["swap"] == facts["swap"] for entry in self.of("mirrored")):
            self.append("mirrored", **facts)

    def erased_since(self, release: str | None) -> set[str]:
        """Return the keys of the tenants of whom somebody was erased since a release was written down."""
        made = max((each.seq for each in self.of("release_published") if each.facts["release"] == release), default=0)
        return {each.facts["tenant"] for each in self.of("erasure") if each.seq > made}

    def refused(self, command: str, error: Refused) -> None:
        """Write down that something was refused: what and where, and not a word of the line."""
        self.append("refused", command=command, error=type(error).__name__, at=_raised_at(error))


def _raised_at(error: Refused) -> str:
    """Name the function that raised: module and name, which are ours and hold no value."""
    trace = error.__traceback__
    if trace is None:
        return "unknown"
    while trace.tb_next:
        trace = trace.tb_next
    module = str(trace.tb_frame.f_globals.get("__name__", "")).removeprefix("quorum.")
    return f"{module}.{trace.tb_frame.f_code.co_name}"
