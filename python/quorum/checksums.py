"""Checksums that a sender puts beside the files: a folder's ``SHA256SUMS``, as ``sha256sum`` writes it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from quorum.raw_rows import Unusable

NAME = "SHA256SUMS"
MAX_BYTES = 64 << 20

# the mark before the name says how the file was read, text or binary: here both are the bytes
_ENTRY = re.compile(r"(\\?)([0-9a-fA-F]{64}) [ *](.+)", re.DOTALL)
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
MALFORMED = "is not in the format of sha256sum"
_ESCAPED = {"\\": "\\", "n": "\n", "r": "\r"}


@dataclass(frozen=True)
class Checksums:
    """The SHA-256 of the files of one folder, in lower-case hex, by their names in it."""

    digests: dict[str, str]

    @classmethod
    def at(cls, folder: Path) -> "Checksums | None":
        """Return what the folder's own ``SHA256SUMS`` says, None where there is none.

        Raises ``Unusable``, with what is to be told of each file of the folder, if nothing certain is said.
        """
        try:
            with (folder / NAME).open("rb") as stream:
                content = stream.read(MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError:
            raise _unusable("cannot be read") from None
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise _unusable(MALFORMED) from None
        if len(content) > MAX_BYTES:
            raise _unusable("is too large")
        digests: dict[str, str] = {}
        for line in text.removesuffix("\n").split("\n") if text else []:
            name, digest = _entry(line.removesuffix("\r"))
            if digests.setdefault(name, digest) != digest:
                raise _unusable("lists a file twice")
        digests.pop(NAME, None)
        return cls(digests)

    def check(self, name: str, digest: str) -> None:
        """Raise ``Unusable`` unless the file of this name in the folder is listed with this SHA-256 in hex."""
        if name not in self.digests:
            raise Unusable(f"waits for the next run, {NAME} does not list it yet")
        if self.digests[name] != digest.lower():
            raise Unusable(f"waits for the next run, its bytes are not those of {NAME}")

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return the names that are listed and not among these, in order."""
        return sorted(self.digests.keys() - set(names))


def relist(file: Path, digest: str | None) -> None:
    """Give a file another SHA-256 in its folder's ``SHA256SUMS``, or with None take it off, where it is listed."""
    path = file.with_name(NAME)
    listed = Checksums.at(file.parent)
    if listed is None or file.name not in listed.digests:
        return
    lines = []
    for line in path.read_bytes().decode().removesuffix("\n").split("\n"):
        if _entry(line.removesuffix("\r"))[0] != file.name:
            lines.append(line)
        elif digest:
            mark = 1 if line.startswith("\\") else 0
            lines.append(line[:mark] + digest + line[mark + 64 :])
    written = path.with_name(f".{NAME}.new")
    written.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
    written.replace(path)


def integrity(file: Path, checksums: Checksums | None) -> str:
    """Return what would have caught a flipped bit in the file: ``manifest``, ``gzip`` or ``none``."""
    if checksums is not None:
        return "manifest"
    return "gzip" if file.name.endswith(".gz") else "none"


def _entry(line: str) -> tuple[str, str]:
    found = _ENTRY.fullmatch(line)
    if found is None:
        raise _unusable(MALFORMED)
    escaped, digest, name = found.groups()
    name = (_ESCAPE.sub(_unescaped, name) if escaped else name).removeprefix("./")
    if "/" in name:
        # they would pass unchecked by their own folder's rule
        raise _unusable("lists files of other folders: put one into each")
    return name, digest.lower()


def _unescaped(escape: re.Match[str]) -> str:
    if escape[1] not in _ESCAPED:
        raise _unusable(MALFORMED)
    return _ESCAPED[escape[1]]


def _unusable(why: str) -> Unusable:
    return Unusable(f"waits for the next run, {NAME} of its folder {why}")
