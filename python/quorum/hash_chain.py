"""One hash chain for the budget ledger and the audit log.

Each entry is hashed together with the hash of the entry before it, so an edited, removed or swapped entry
breaks the chain where it stood (Haber and Stornetta 1991, "How to Time-Stamp a Digital Document"). A chain
cannot see that its newest entries are gone, or that all of it was written anew: who relies on it keeps its
length elsewhere (``quorum.anchors``).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quorum.errors import BadInput, Refused

GENESIS = "0" * 64


class ChainBroken(Refused):
    """A chain is not what was written; ``seq`` is its first bad entry, counted from 1."""

    def __init__(self, chain: str, seq: int, fault: str) -> None:
        super().__init__(f"{chain}: entry {seq} {fault}; put an intact copy back")
        self.seq = seq


def canonical(record: object) -> bytes:
    """Encode a JSON value in its one form: sorted keys, no spaces, UTF-8.

    Raises BadInput for what JSON cannot hold: a date, a Decimal, NaN, a lone surrogate.
    """
    try:
        text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()
    except (TypeError, ValueError) as error:
        raise BadInput("a chained record must be plain JSON") from error


def digest(record: object) -> str:
    """Return the SHA-256 of a JSON value as 64 hex digits."""
    return hashlib.sha256(canonical(record)).hexdigest()


def link(previous: str, record: Mapping[str, object]) -> str:
    """Return the hash, 64 hex digits, of a record that follows the one hashed to ``previous``."""
    return hashlib.sha256(previous.encode() + canonical(record)).hexdigest()


def salt() -> str:
    """Return 128 random bits as hex; without them, a published hash would let guessed contents be tested."""
    return secrets.token_hex(16)


@dataclass(frozen=True)
class Entry:
    """One link; ``check`` decides whether it is sound, since only its neighbours can tell."""

    seq: int
    kind: str
    facts: Mapping[str, Any]
    salt: str
    previous: str
    hash: str

    @classmethod
    def after(cls, last: Entry | None, kind: str, facts: Mapping[str, Any]) -> Entry:
        """Make the entry that follows ``last``, or the first one."""
        seq, previous = (last.seq + 1, last.hash) if last else (1, GENESIS)
        record: dict[str, Any] = {"seq": seq, "kind": kind, "facts": facts, "salt": salt()}
        return cls(**record, previous=previous, hash=link(previous, record))

    def line(self) -> bytes:
        return canonical(vars(self))

    def is_intact(self) -> bool:
        record = {"seq": self.seq, "kind": self.kind, "facts": self.facts, "salt": self.salt}
        return self.hash == link(self.previous, record)


def parse(lines: Iterable[bytes], chain: str) -> list[Entry]:
    """Read stored lines; raises ChainBroken for a line that ``Entry.line`` did not write."""
    return [_parse_one(line, chain, seq) for seq, line in enumerate(lines, start=1)]


def check(entries: Iterable[Entry], chain: str) -> list[Entry]:
    """Return the entries if they form a whole chain, else raise ChainBroken; ``chain`` is its name."""
    checked: list[Entry] = []
    previous = GENESIS
    for seq, entry in enumerate(entries, start=1):
        if entry.seq != seq:
            raise ChainBroken(chain, seq, "is missing or out of order")
        if entry.previous != previous:
            raise ChainBroken(chain, seq, "does not follow the one before it")
        if not entry.is_intact():
            raise ChainBroken(chain, seq, "was changed")
        checked.append(entry)
        previous = entry.hash
    return checked


@dataclass(frozen=True)
class ChainedLog:
    """An append-only chain in a file of JSON lines. No clock is read: a caller passes dates as facts."""

    path: Path

    def append(self, kind: str, **facts: Any) -> Entry:
        """Write one entry to the disk and return it; safe between processes.

        A line without its newline was torn by a crash and never acknowledged. It is cut off, and an entry of
        kind ``recovered`` says so.
        """
        with self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            data = file.read()
            whole, torn = _split(data)
            last = _parse_one(whole[-1], self.path.name, len(whole)) if whole else None
            new: list[Entry] = []
            if torn:
                file.truncate(len(data) - len(torn))
                last = Entry.after(last, "recovered", {"dropped_bytes": len(torn)})
                new.append(last)
            new.append(Entry.after(last, kind, facts))
            file.write(b"".join(entry.line() + b"\n" for entry in new))
            file.flush()
            os.fsync(file.fileno())
        if not whole:
            _sync_folder(self.path.parent)
        return new[-1]

    def records(self) -> list[Entry]:
        """Read the entries without checking how they hang together; none if there is no file yet."""
        data = self.path.read_bytes() if self.path.exists() else b""
        return parse(_split(data)[0], self.path.name)

    def entry(self, seq: int) -> Entry | None:
        """Read one entry, unchecked; none where the log ends before it."""
        lines = _split(self.path.read_bytes() if self.path.exists() else b"")[0]
        return _parse_one(lines[seq - 1], self.path.name, seq) if 0 < seq <= len(lines) else None

    def verify(self) -> int:
        """Return how many entries there are; raises ChainBroken at the first bad one."""
        return len(check(self.records(), self.path.name))


def _parse_one(line: bytes, chain: str, seq: int) -> Entry:
    try:
        entry = Entry(**json.loads(line))
        as_written = entry.line() == line
    except (TypeError, ValueError, BadInput) as error:
        raise ChainBroken(chain, seq, "cannot be read") from error
    if not as_written:  # the hash would not see spaces, key order or a key given twice
        raise ChainBroken(chain, seq, "was changed")
    return entry


def _split(data: bytes) -> tuple[list[bytes], bytes]:
    *whole, torn = data.split(b"\n")
    return whole, torn


def _sync_folder(folder: Path) -> None:
    """Make a new file's name survive a power cut, as fsync of the file makes its content."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
