"""Reading a file of the registry that declares rules: a type for each cell, no rule twice, no tenant that nobody knows.

Tenant ``*`` stands for every tenant without rows of its own in the file. No message shows a value: it may hold
personal data.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa

from quorum import csv_file
from quorum.errors import BadInput
from quorum.registry import DEFAULT_TENANT, LABEL, LABEL_RULE, Registry

# Wide enough for any rule, and inside what the instants of SQL can hold.
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2199, 12, 31)

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column: its type, how a cell is read, and what the operator hears where that gives None."""

    type: pa.DataType
    read: Callable[[str], object | None]
    expected: str
    required: bool = True


@dataclass(frozen=True)
class RuleFile:
    """A file ``<name>.csv``; no two of its rows have the same tenant and key. Its relation bears the same name."""

    name: str
    columns: Mapping[str, Column]  # beside tenant_id
    key: tuple[str, ...]  # beside tenant_id

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([("tenant_id", pa.string()), *((name, each.type) for name, each in self.columns.items())])

    def load(self, directory: Path, tenants: Registry) -> "Declared":
        """Read the file of a workspace's ``registry/``, if it is there."""
        declared = Declared(self, directory / f"{self.name}.csv", {})
        if not declared.path.exists():
            return declared
        listed = {row.tenant_id for row in tenants.rows}
        lines: dict[tuple[Any, ...], int] = {}
        for line, cells in self._cells(declared.path):
            row = self._parse(declared, line, cells)
            if row["tenant_id"] not in listed and row["tenant_id"] != DEFAULT_TENANT and not tenants.default:
                declared.refuse(line, "tenant_id", "no such tenant in tenants.csv")
            earlier = lines.setdefault(declared.key(row), line)
            if earlier != line:
                declared.refuse(line, self.key[-1], f"line {earlier} declares the same")
            declared.rows[line] = row
        return declared

    def tenant_ids(self, directory: Path) -> set[str]:
        """Return whom the file names, whatever else it says."""
        path = directory / f"{self.name}.csv"
        return {cells["tenant_id"] for _, cells in self._cells(path)} if path.exists() else set()

    def _cells(self, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
        optional = [name for name, column in self.columns.items() if not column.required]
        return csv_file.rows(path, self.schema.names, optional)

    def _parse(self, declared: "Declared", line: int, cells: Mapping[str, str]) -> Row:
        try:
            row: Row = {"tenant_id": csv_file.identifier("tenant_id", cells["tenant_id"])}
        except BadInput as problem:
            raise BadInput(f"{declared.path}, line {line}, {problem}") from None
        for name, column in self.columns.items():
            text = cells.get(name, "")
            row[name] = column.read(text.strip()) if text.strip() else None
            if row[name] is None and (column.required or text.strip()):
                declared.refuse(line, name, f"expected {column.expected}")
        return row


@dataclass(frozen=True)
class Declared:
    """What a file declares, and on which line."""

    file: RuleFile
    path: Path
    rows: dict[int, Row]

    def key(self, row: Row) -> tuple[Any, ...]:
        return (row["tenant_id"], *(row[name] for name in self.file.key))

    def refuse(self, line: int, column: str, what: str) -> NoReturn:
        raise BadInput(f"{self.path}, line {line}, column {column}: {what}")

    def by(self, *columns: str) -> dict[tuple[Any, ...], dict[int, Row]]:
        """Return the rows by tenant and other columns."""
        groups: dict[tuple[Any, ...], dict[int, Row]] = {}
        for line, row in self.rows.items():
            groups.setdefault((row["tenant_id"], *(row[name] for name in columns)), {})[line] = row
        return groups

    def table(self) -> pa.Table:
        """Return the rows in order, whatever their order in the file."""
        ordered = sorted(self.rows.values(), key=lambda row: [(cell is not None, cell) for cell in self.key(row)])
        return pa.Table.from_pylist(ordered, self.file.schema)


def digest_input(rules: pa.Table) -> bytes:
    return json.dumps(rules.to_pylist(), default=date.isoformat).encode()


def digest(rules: pa.Table) -> str:
    """Return the SHA-256 over the rows. Tenant ids are in it: never published."""
    return hashlib.sha256(digest_input(rules)).hexdigest()


def day(*, required: bool = True) -> Column:
    def read(text: str) -> date | None:
        found = csv_file.day(text)
        return found if found and FIRST_DAY <= found <= LAST_DAY else None

    return Column(pa.date32(), read, f"a date from {FIRST_DAY} to {LAST_DAY}", required)


def whole_number(least: int, most: int) -> Column:
    def read(text: str) -> int | None:
        found = csv_file.whole_number(text)
        return found if found is not None and least <= found <= most else None

    return Column(pa.int32(), read, f"a whole number from {least} to {most}")


def one_of(*words: str) -> Column:
    return Column(pa.string(), lambda text: text if text in words else None, f"one of {', '.join(words)}")


def listed(words: Collection[str], expected: str, *, required: bool = True) -> Column:
    """Return a column for what must be on a list that is too long to show."""
    return Column(pa.string(), lambda text: text if text in words else None, expected, required)


def label() -> Column:
    return Column(pa.string(), lambda text: text if text and LABEL.fullmatch(text) else None, LABEL_RULE)


def identifier() -> Column:
    """Return a column for an id of a user or a device, as events send it."""
    readable = re.compile(r"[^\x00-\x1f\x7f]+")
    return Column(
        pa.string(), lambda text: text if readable.fullmatch(text) else None, "no control characters", required=False
    )
