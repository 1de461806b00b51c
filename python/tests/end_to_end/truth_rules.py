"""What the registry says, read from its files: the rules under which a tenant's events are seen."""

import csv
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.end_to_end.truth_identity import Unit

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
LIMITS = ("max_users_per_device", "max_users_per_person")
DEFAULTS = dict(zip((*LIMITS, "bot_daily_events", "bot_daily_hours"), (2, 5, 2000, 20), strict=True))
ROBOT = re.compile("(bot|crawler|spider|curl|wget|python-requests)", re.IGNORECASE)


@dataclass(frozen=True)
class Event:
    tenant: str
    unit: Unit  # the user, or the device where no user is known
    event_id: str
    occurred_at: datetime
    received_at: datetime | None
    row: Mapping[str, Any] = field(compare=False, repr=False)  # as it landed


class Rules:
    """The registry: what holds for each tenant from a date on, by the tenant's own clock."""

    def __init__(self, registry: Path) -> None:
        self._versions: dict[str, list[tuple[datetime, dict[str, str]]]] = defaultdict(list)
        for row in sorted(read(registry / "tenants.csv"), key=lambda row: row["valid_from"]):
            self._versions[row["tenant_id"]].append((self._midnight(row, ZoneInfo(row["timezone"])), row))
        self._active: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for row in read(registry / "active_events.csv"):
            self._active[row["tenant_id"]][row["valid_from"]].add(row["event_name"])
        self._listed: dict[str, list[dict[str, str]]] = defaultdict(list)
        for row in read(registry / "internal_users.csv"):
            self._listed[row["tenant_id"]].append(row)

    def knows(self, tenant: str) -> bool:
        return tenant != "*" and (tenant in self._versions or "*" in self._versions)

    def local_date(self, event: Event) -> date:
        return event.occurred_at.astimezone(ZoneInfo(self._at(event)["timezone"])).date()

    def week_start(self, event: Event) -> date:
        return _week(self.local_date(event), self._at(event))

    def week_on(self, tenant: str, day: date) -> date:
        """Return the week of a day on which nothing need have happened."""
        return _week(day, self._on(tenant, str(day)))

    def timeout(self, event: Event) -> timedelta:
        return timedelta(minutes=int(self._at(event)["session_timeout_minutes"]))

    def limit(self, event: Event, column: str) -> int:
        return int(self._at(event).get(column) or DEFAULTS[column])

    def latest(self, tenant: str, column: str) -> int:
        return int(self._of(tenant)[-1][1].get(column) or DEFAULTS[column])

    def is_activity(self, event: Event) -> bool:
        """Tell whether an event counts as activity; the first definition also covers what came before it."""
        versions = self._active.get(event.tenant) or self._active.get("*")
        if not versions:
            return True
        begun = [day for day in sorted(versions) if self.begins(event.tenant, day) <= event.occurred_at]
        return event.row["event_name"] in versions[begun[-1] if begun else min(versions)]

    def listed_as(self, event: Event) -> str | None:
        rows = self._listed.get(event.tenant) or self._listed.get("*", [])
        kind, name = event.unit
        column = {"user": "user_id", "device": "anonymous_id"}[kind]
        own = [row for row in rows if row[column] == name]
        begun = [row for row in own if self.begins(event.tenant, row["valid_from"]) <= event.occurred_at]
        listed_as = max(begun, key=lambda row: row["valid_from"])["listed_as"] if begun else "none"
        if listed_as != "none":
            return listed_as
        return "bot" if ROBOT.search(event.row.get("user_agent") or "") else None

    def begins(self, tenant: str, day: str) -> datetime:
        """Return the instant at which a day begins by the clock that the tenant has on it."""
        return self._midnight({"valid_from": day}, ZoneInfo(self._on(tenant, day)["timezone"]))

    def _on(self, tenant: str, day: str) -> dict[str, str]:
        versions = [row for _, row in self._of(tenant)]
        return ([row for row in versions if row["valid_from"] <= day] or versions[:1])[-1]

    @staticmethod
    def _midnight(row: Mapping[str, str], zone: ZoneInfo) -> datetime:
        return datetime.combine(date.fromisoformat(row["valid_from"]), time(), zone)

    def _of(self, tenant: str) -> list[tuple[datetime, dict[str, str]]]:
        return self._versions.get(tenant) or self._versions["*"]

    def _at(self, event: Event) -> dict[str, str]:
        versions = self._of(event.tenant)
        begun = bisect_right(versions, event.occurred_at, key=lambda version: version[0])
        return versions[max(begun - 1, 0)][1]  # the first also covers what came before it


def _week(day: date, rules: Mapping[str, str]) -> date:
    return day - DAY * ((day.weekday() - WEEKDAYS.index(rules["week_start"])) % 7)


def read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
