"""What a night over files of the format `quorum` should give, worked out from the raw lines.

Slow and plain on purpose, and nothing of the package is in it: no SQL, no keys, no batches, only the rules.
"""

import csv
import gzip
import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby
from pathlib import Path
from urllib.parse import unquote
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
Unit = tuple[str, str]


@dataclass(frozen=True)
class Event:
    tenant: str
    unit: Unit  # the user, or the device where no user is known
    event_id: str
    occurred_at: datetime
    received_at: datetime | None


@dataclass(frozen=True)
class Day:
    """A row of mart_tenant_daily, its columns in their order."""

    activity_date: date
    daily_active_users: int
    weekly_active_users: int
    monthly_active_users: int
    events: int
    sessions: int
    session_minutes: Decimal


class Rules:
    """The registry: each tenant's time zone and timeout from a date on, by the tenant's own clock."""

    def __init__(self, path: Path) -> None:
        self._versions: dict[str, list[tuple[datetime, ZoneInfo, timedelta]]] = defaultdict(list)
        with path.open(newline="") as file:
            for row in sorted(csv.DictReader(file), key=lambda row: row["valid_from"]):
                zone = ZoneInfo(row["timezone"])
                midnight = datetime.combine(date.fromisoformat(row["valid_from"]), time(), zone)
                timeout = timedelta(minutes=int(row["session_timeout_minutes"]))
                self._versions[row["tenant_id"]].append((midnight, zone, timeout))

    def knows(self, tenant: str) -> bool:
        return tenant != "*" and (tenant in self._versions or "*" in self._versions)

    def local_date(self, event: Event) -> date:
        return event.occurred_at.astimezone(self._at(event)[1]).date()

    def timeout(self, event: Event) -> timedelta:
        return self._at(event)[2]

    def _at(self, event: Event) -> tuple[datetime, ZoneInfo, timedelta]:
        versions = self._versions.get(event.tenant) or self._versions["*"]
        begun = bisect_right(versions, event.occurred_at, key=lambda version: version[0])
        return versions[max(begun - 1, 0)]  # the first also covers what came before it


class Oracle:
    """All that a workspace has landed: the accepted events, and by file how many rows ended where."""

    def __init__(self, root: Path, as_of: date) -> None:
        self.rules = Rules(root / "registry" / "tenants.csv")
        self.endings: dict[str, Counter[str]] = {}
        self._closed_at = datetime.combine(as_of, time(), UTC) + DAY
        landed = []
        for path in sorted((root / "landing" / "quorum").rglob("*.jsonl*")):
            endings = self.endings[str(path.relative_to(root / "landing"))] = Counter()
            for ending in self._read(path):
                if isinstance(ending, Event):
                    landed.append(ending)
                endings[ending if isinstance(ending, str) else "taken"] += 1
        # of the events of one user with one id, the first to be received counts
        landed.sort(
            key=lambda event: (event.received_at is None, event.received_at or event.occurred_at, event.occurred_at)
        )
        first = {(event.tenant, event.unit, event.event_id): event for event in reversed(landed)}
        self.events = list(first.values())
        self.duplicates = len(landed) - len(self.events)

    def _read(self, path: Path) -> Iterator[Event | str]:
        folders = [unquote(part.removeprefix("tenant=")) for part in path.parts if part.startswith("tenant=")]
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for line in text.decode().split("\n"):
            if line.strip():
                yield self._judge(line, folders[-1] if folders else None)

    def _judge(self, line: str, folder: str | None) -> Event | str:
        """Return the event, or why the row is quarantined."""
        try:
            row = json.loads(line)
        except ValueError:
            return "unparsable"
        claimed, user, device = row["tenant_id"], row["user_id"], row.get("anonymous_id")
        if folder and claimed and claimed != folder:
            return "tenant_mismatch"
        tenant = folder or claimed
        if not tenant:
            return "missing_tenant"
        if not self.rules.knows(tenant):
            return "unknown_tenant"
        if not (user or device):
            return "missing_identity"
        received_at = _instant(row["received_at"])
        occurred_at, _rule = clocked(_instant(row["occurred_at"]), _instant(row.get("sent_at")), received_at)
        if occurred_at is None or occurred_at.year < 1990:
            return "bad_timestamp"
        if occurred_at > self._closed_at + DAY or (received_at and occurred_at > received_at + DAY):
            return "future_timestamp"
        unit = ("user", user) if user else ("device", device)
        return Event(tenant, unit, row["event_id"], occurred_at, received_at)

    def daily(self) -> dict[str, list[Day]]:
        """Return each tenant's days, from its first active one to its last, quiet days included."""
        tenants = sorted(self.events, key=lambda event: event.tenant)
        return {tenant: self._days(list(events)) for tenant, events in groupby(tenants, lambda event: event.tenant)}

    def _days(self, events: list[Event]) -> list[Day]:
        active = defaultdict(set)
        count: Counter[date] = Counter()
        for event in events:
            active[self.rules.local_date(event)].add(event.unit)
            count[self.rules.local_date(event)] += 1
        lengths = defaultdict(list)
        for session in self._sessions(events):
            lengths[self.rules.local_date(session[0])].append(session[-1].occurred_at - session[0].occurred_at)

        def users(day: date, window: int) -> int:
            return len(set().union(*(active.get(day - DAY * back, set()) for back in range(window))))

        days = (min(active) + DAY * number for number in range((max(active) - min(active)).days + 1))
        return [
            Day(
                day, users(day, 1), users(day, 7), users(day, 28), count[day], len(lengths[day]), _minutes(lengths[day])
            )
            for day in days
        ]

    def _sessions(self, events: Iterable[Event]) -> Iterator[list[Event]]:
        """Yield each user's events cut where the gap is longer than the tenant's timeout."""
        ordered = sorted(events, key=lambda event: (event.unit, event.occurred_at))
        for _, of_unit in groupby(ordered, lambda event: event.unit):
            session: list[Event] = []
            for event in of_unit:
                if session and event.occurred_at - session[-1].occurred_at > self.rules.timeout(event):
                    yield session
                    session = []
                session.append(event)
            yield session


def clocked(
    occurred_at: datetime | None, sent_at: datetime | None, received_at: datetime | None
) -> tuple[datetime | None, str]:
    """Return when an event happened, as far as its own clocks tell, and the rule that says so."""
    if occurred_at is None:
        return received_at, "received_at"
    if received_at is None:
        return occurred_at, "occurred_at"
    rule = "occurred_at"
    if sent_at and abs(sent_at - received_at) > timedelta(minutes=5):
        occurred_at, rule = received_at - (sent_at - occurred_at), "corrected"
    if received_at < occurred_at <= received_at + DAY:
        return received_at, "capped"
    return occurred_at, rule


def _instant(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _minutes(lengths: list[timedelta]) -> Decimal:
    milliseconds = sum(length // timedelta(milliseconds=1) for length in lengths)
    return (Decimal(milliseconds) / 60_000).quantize(Decimal("0.01"), ROUND_HALF_UP)
