"""Who may see which published relation: ``seeds/policy/access.csv`` as shipped, and a workspace's stricter rows.

A row says what a role sees of the relations whose names match: nothing, its own rows, or all. Where several rows match
the strictest holds, and a relation that no row names is seen by nobody. The floors stand in code: no row can let a
tenant's role see more than its own rows, or the role of benchmarks anything of the tenant plane.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from quorum import csv_file
from quorum.errors import BadInput, Refused

COLUMNS = ("role", "plane", "relation", "sees")
TENANT, BENCHMARKS = "tenant", "benchmarks"
PLANES = {TENANT: "tenant", BENCHMARKS: "cross_tenant"}  # the one plane that a role may see anything of
SEES = ("none", "own", "all")  # from strict to lax
MOST = {TENANT: "own", BENCHMARKS: "all"}
_PATTERN = re.compile(r"[a-z][a-z0-9_]*\*?")


@dataclass(frozen=True)
class Access:
    """The rows in force: the shipped ones and the workspace's own."""

    shipped: tuple[Mapping[str, str], ...]
    stricter: tuple[Mapping[str, str], ...]

    @classmethod
    def of(cls, folder: Path, shipped: Path) -> "Access":
        """Read the seed, and ``access.csv`` of a workspace's policy folder, if there is one."""
        own = folder / "access.csv"
        base = _rows(shipped, f"seeds/policy/{shipped.name}")
        asked = _rows(own, f"policy/{own.name}") if own.is_file() else ()
        for number, row in enumerate(asked, start=2):
            if row["sees"] != "none":
                raise Refused(f"policy/{own.name} line {number}: it may only be stricter than shipped: none")
        return cls(base, asked)

    @property
    def digest(self) -> str:
        """Return the SHA-256 over what is shipped and what the workspace makes of it."""
        return hashlib.sha256(json.dumps([self.shipped, self.stricter]).encode()).hexdigest()

    def seen(self, role: str, relations: Iterable[str]) -> list[str]:
        """Return those of the relations that a role sees anything of, in order."""
        return sorted(name for name in relations if self._sees(role, name) != "none")

    def refuse_unused(self, relations: Mapping[str, Iterable[str]]) -> None:
        """Raise BadInput for a row of the workspace that matches none of a role's relations: it would close nothing."""
        for number, row in enumerate(self.stricter, start=2):
            if not any(fnmatchcase(name, row["relation"]) for name in relations[row["role"]]):
                raise BadInput(f"policy/access.csv line {number}: no published relation has such a name")

    def _sees(self, role: str, relation: str) -> str:
        rows = [
            row
            for row in (*self.shipped, *self.stricter)
            if row["role"] == role and fnmatchcase(relation, row["relation"])
        ]
        return min((row["sees"] for row in rows), key=SEES.index, default="none")


def _rows(path: Path, name: str) -> tuple[Mapping[str, str], ...]:
    rows = csv_file.policy_rows(path, name, COLUMNS)
    for number, row in enumerate(rows, start=2):
        _check(f"{name} line {number}", row)
    return tuple(rows)


def _check(where: str, row: Mapping[str, str]) -> None:
    role, sees = row["role"], row["sees"]
    if role not in PLANES:
        raise BadInput(f"{where}: role is not one of {', '.join(PLANES)}")
    if sees not in SEES:
        raise BadInput(f"{where}: sees is not one of {', '.join(SEES)}")
    if not _PATTERN.fullmatch(row["relation"]):
        raise BadInput(f"{where}: relation is a name, or the beginning of names and a *")
    if row["plane"] != PLANES[role]:
        raise Refused(f"{where}: the role {role} sees nothing but the plane {PLANES[role]}")
    if SEES.index(sees) > SEES.index(MOST[role]):
        raise Refused(f"{where}: the role {role} sees no more than {MOST[role]}")
