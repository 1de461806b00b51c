"""What a night over files of the format `quorum` should give, worked out from the raw lines.

Slow and plain on purpose, and nothing of the package is in it: no SQL, no keys, no batches, only the rules.
"""

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby, pairwise
from pathlib import Path
from urllib.parse import unquote

from tests.end_to_end.truth_identity import Link, Person, Persons
from tests.end_to_end.truth_rules import DAY, LIMITS, MINUTE, Event, Rules
from tests.end_to_end.truth_shares import share, wilson


@dataclass(frozen=True)
class Day:
    """A row of mart_tenant_daily, its columns in their order."""

    activity_date: date
    daily_active_users: int
    weekly_active_users: int
    monthly_active_users: int
    new_users: int
    returning_users: int
    resurrected_users: int
    stickiness: Decimal | None
    stickiness_low: Decimal | None
    stickiness_high: Decimal | None
    stickiness_state: str
    events: int
    excluded_events: int
    sessions: int
    session_minutes: Decimal
    engaged_minutes: Decimal


class Oracle:
    """All that a workspace has landed: the accepted events, and by file how many rows ended where."""

    def __init__(self, root: Path, as_of: date) -> None:
        self.rules = Rules(root / "registry")
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
        self._persons = {
            tenant: Persons(map(_link, filter(_is_link, events)), *(self.rules.latest(tenant, each) for each in LIMITS))
            for tenant, events in self.by_tenant().items()
        }

    def by_tenant(self) -> dict[str, list[Event]]:
        """Return the accepted events of each tenant."""
        found = defaultdict(list)
        for event in self.events:
            found[event.tenant].append(event)
        return dict(found)

    def person(self, event: Event) -> Person:
        return self._persons[event.tenant].of(event.unit, event.occurred_at)

    def excluded(self, events: Iterable[Event]) -> dict[tuple[Person, date], str | None]:
        """Return why each day of a person counts in no metric, or None where it counts; for the events of a tenant."""
        found: dict[tuple[Person, date], str | None] = {}
        days = defaultdict(list)
        for event in events:
            days[self.person(event), self.rules.local_date(event)].append(event)
        for day, happened in days.items():
            listed = {self.rules.listed_as(event) for event in happened}
            first = min(happened, key=lambda event: event.occurred_at)
            hours = {event.occurred_at.replace(minute=0, second=0, microsecond=0) for event in happened}
            busy = len(happened) > self.rules.limit(first, "bot_daily_events")
            awake = len(hours) > self.rules.limit(first, "bot_daily_hours")
            found[day] = next((each for each in ("internal", "test", "bot") if each in listed), None)
            found[day] = found[day] or ("behaves_like_bot" if busy or awake else None)
        return found

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
        return Event(tenant, unit, row["event_id"], occurred_at, received_at, row)

    def daily(self) -> dict[str, list[Day]]:
        """Return each tenant's days, from its first one with an event to its last, quiet days included."""
        return {tenant: self._days(events) for tenant, events in self.by_tenant().items()}

    def _days(self, events: list[Event]) -> list[Day]:
        excluded = self.excluded(events)
        active: dict[date, set[Person]] = defaultdict(set)
        counted: Counter[date] = Counter()
        left_out: Counter[date] = Counter()
        for event in events:
            person, day = self.person(event), self.rules.local_date(event)
            if excluded[person, day]:
                left_out[day] += 1
            else:
                counted[day] += 1
                if self.rules.is_activity(event):
                    active[day].add(person)
        lengths, engaged = defaultdict(list), defaultdict(list)
        for session in self.sessions(events):
            day = self.rules.local_date(session[0])
            if not excluded[self.person(session[0]), day]:
                lengths[day].append(session[-1].occurred_at - session[0].occurred_at)
                pauses = (after.occurred_at - before.occurred_at for before, after in pairwise(session))
                engaged[day].append(sum((min(pause, 5 * MINUTE) for pause in pauses), timedelta()))

        def users(day: date, window: int) -> set[Person]:
            return set().union(*(active.get(day - DAY * back, set()) for back in range(window)))

        days = sorted({*counted, *left_out})
        rows = []
        ever: set[Person] = set()
        for day in (days[0] + DAY * number for number in range((days[-1] - days[0]).days + 1)):
            daily, monthly = len(users(day, 1)), len(users(day, 28))
            new, returning = active[day] - ever, active[day] & users(day - DAY, 27)
            ever |= active[day]
            low, high = wilson(daily, monthly)
            rows.append(
                Day(
                    activity_date=day,
                    daily_active_users=daily,
                    weekly_active_users=len(users(day, 7)),
                    monthly_active_users=monthly,
                    new_users=len(new),
                    returning_users=len(returning),
                    resurrected_users=daily - len(new) - len(returning),
                    stickiness=share(daily, monthly),
                    stickiness_low=low,
                    stickiness_high=high,
                    stickiness_state="ok" if monthly >= 20 else "not_enough_data",
                    events=counted[day],
                    excluded_events=left_out[day],
                    sessions=len(lengths[day]),
                    session_minutes=_minutes(lengths[day]),
                    engaged_minutes=_minutes(engaged[day]),
                )
            )
        return rows

    def sessions(self, events: Iterable[Event]) -> Iterator[list[Event]]:
        """Yield each person's events cut where the gap is longer than the tenant's timeout."""
        ordered = sorted(events, key=lambda event: (self.person(event), event.occurred_at))
        for _, of_person in groupby(ordered, self.person):
            session: list[Event] = []
            for event in of_person:
                if session and event.occurred_at - session[-1].occurred_at > self.rules.timeout(event):
                    yield session
                    session = []
                session.append(event)
            yield session


def _is_link(event: Event) -> bool:
    return bool(event.row["user_id"] and event.row.get("anonymous_id"))


def _link(event: Event) -> Link:
    return Link(event.row["user_id"], event.row["anonymous_id"], event.occurred_at)


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
