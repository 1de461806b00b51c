"""One workspace directory: where everything of a deployment lies, and who may hold it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from quorum.errors import BadInput, Busy

PRIVATE = 0o700


@dataclass(frozen=True)
class Workspace:
    """The paths of a workspace. Nothing else in the package spells them."""

    root: Path

    @property
    def landing(self) -> Path:
        return self.root / "landing"

    @property
    def registry(self) -> Path:
        return self.root / "registry"

    @property
    def policy(self) -> Path:
        return self.root / "policy"

    @property
    def keyring(self) -> Path:
        return self.root / "keyring"

    @property
    def restricted(self) -> Path:
        return self.root / "restricted"

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse"

    @property
    def published(self) -> Path:
        return self.root / "published"

    @property
    def ledger_url(self) -> str:
        """``QUORUM_LEDGER`` where the ledger lives outside the workspace, as it should in production."""
        return os.environ.get("QUORUM_LEDGER") or f"sqlite:///{self.root / 'ledger' / 'ledger.db'}"

    @property
    def ledger_is_outside(self) -> bool:
        """Tell whether the operator says where the ledger is; then it was made on purpose, or is missing."""
        return bool(os.environ.get("QUORUM_LEDGER"))

    @property
    def audit_log(self) -> Path:
        return self.restricted / "audit.jsonl"

    @property
    def heads(self) -> Path:
        """How long the audit log and the ledger were, last."""
        return self.restricted / "heads.json"

    @property
    def landing_problems(self) -> Path:
        """The names of the files that the last run could not take."""
        return self.restricted / "problems.txt"

    @property
    def operator_manifests(self) -> Path:
        return self.restricted / "releases"

    @property
    def operator_page(self) -> Path:
        return self.restricted / "index.html"

    def plane(self, name: str) -> Path:
        """Return the database file of a plane."""
        folder = self.restricted if name == "restricted" else self.warehouse
        return folder / f"{name}.duckdb"

    def prepare(self) -> None:
        """Make the folders that a run writes to; the operator's own (landing, registry) must be there."""
        if not self.root.is_dir():
            raise BadInput(f"no workspace at {self.root}: make one with `quorum init`")
        if not self.landing.is_dir():
            raise BadInput(f"no folder {self.landing}: put raw files under landing/<format>/")
        try:
            for folder in (self.keyring, self.restricted):
                folder.mkdir(exist_ok=True, mode=PRIVATE)
            for folder in (self.landing, self.registry, self.keyring, self.restricted):
                # input that somebody else owns (a read-only mount, say) keeps the mode it has
                if folder.is_dir() and folder.stat().st_uid == os.getuid():
                    folder.chmod(PRIVATE)
            for folder in (self.warehouse, self.published, self.root / "ledger", self.restricted / "spill"):
                folder.mkdir(exist_ok=True)
        except OSError as error:
            raise BadInput(f"cannot write to the workspace {self.root}: {error.strerror}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the workspace alone; the lock dies with the process, so a killed run leaves none behind."""
        try:
            handle = os.open(self.restricted / "run.lock", os.O_CREAT | os.O_RDWR, 0o600)
        except FileNotFoundError:
            raise BadInput(f"no run was at {self.root} yet: there is nothing to hold") from None
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy(f"another run holds {self.root}: wait for it to end") from None
            yield
        finally:
            os.close(handle)
