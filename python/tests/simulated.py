"""A simulated world, read back without any of the code that wrote it."""

import csv
import gzip
import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from quorum.simulate import Shape, Truth, simulate

Row = dict[str, Any]


@dataclass(frozen=True)
class Simulated:
    """A workspace, read back without any of the code that wrote it."""

    workspace: Path
    truth: Truth
    lines: list[tuple[date, str]]  # with the day of their file

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.workspace / name).open(newline="") as file:
            return list(csv.DictReader(file))

    def registry(self) -> dict[str, dict[str, str]]:
        """Return each tenant's first version."""
        first: dict[str, dict[str, str]] = {}
        for version in self.table("registry/tenants.csv"):
            first.setdefault(version["tenant_id"], version)
        return first

    def local_date(self, row: Row) -> date:
        """Return the day by the tenant's clock, as the version of its rules has it that holds then."""
        found = None
        for version in sorted(self.table("registry/tenants.csv"), key=lambda version: version["valid_from"]):
            if version["tenant_id"] == row["tenant_id"]:
                day = time_of(row["occurred_at"]).astimezone(ZoneInfo(version["timezone"])).date()
                found = day if found is None or str(day) >= version["valid_from"] else found
        assert found
        return found

    def person(self, row: Row) -> str:
        return self.people[row["tenant_id"], "user" if row["user_id"] else "device", unit_of(row)[1]]

    @cached_property
    def people(self) -> dict[tuple[str, str, str], str]:
        """Return the person of each user id and device, by a search over the rows."""
        users: dict[tuple[str, str, str], set[tuple[str, str, str]]] = defaultdict(set)
        for row in self.accepted:
            device = (row["tenant_id"], "device", row["anonymous_id"])
            users[device] |= {(row["tenant_id"], "user", row["user_id"])} if row["user_id"] else set()
        near = defaultdict(set)
        for device, known in users.items():
            for user in known if len(known) <= 2 else ():
                near[device].add(user)
                near[user].add(device)
        people: dict[tuple[str, str, str], str] = {}
        for unit in sorted({*users, *(user for known in users.values() for user in known)}):
            reached, todo = str(unit), [unit]
            while todo:
                if (at := todo.pop()) not in people:
                    people[at] = reached
                    todo += near[at]
        return people

    @cached_property
    def verdicts(self) -> list[tuple[str, date, str, Row]]:
        """Say of each line what should become of it, in the order of landing."""
        registry, seen = self.registry(), set()
        verdicts = []
        for day, line in self.lines:
            verdict, row = _quarantine_reason(line, registry), {}
            if verdict is None:
                row = json.loads(line)
                verdict = "duplicate" if row["event_id"] in seen else "accepted"
                seen.add(row["event_id"])
            verdicts.append((verdict, day, line, row))
        return verdicts

    @cached_property
    def accepted(self) -> list[Row]:
        return [row for verdict, _, _, row in self.verdicts if verdict == "accepted"]


def _quarantine_reason(line: str, registry: dict[str, dict[str, str]]) -> str | None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return "unparsable"
    if row["tenant_id"] is None:
        return "missing_tenant"
    if row["tenant_id"] not in registry:
        return "unknown_tenant"
    if row["user_id"] is None and row["anonymous_id"] is None:
        return "missing_identity"
    try:
        occurred, received = time_of(row["occurred_at"]), time_of(row["received_at"])
    except ValueError:
        return "bad_timestamp"
    return "future_timestamp" if occurred > received else None


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def unit_of(row: Row) -> tuple[str, str]:
    return row["tenant_id"], row["user_id"] or row["anonymous_id"]


def simulated(workspace: Path, shape: Shape) -> Simulated:
    truth = simulate(workspace, shape)
    lines = [
        (date.fromisoformat(path.name.removesuffix(".jsonl.gz")), line)
        for path in truth.paths
        for line in gzip.decompress(path.read_bytes()).decode().splitlines()
    ]
    return Simulated(workspace, truth, lines)
