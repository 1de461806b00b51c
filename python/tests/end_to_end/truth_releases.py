"""What one unit adds to each private release, worked out from its own rows: plainly, an event at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

from quorum.release import Due
from tests.bounded_vectors import Unit

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
STEPS = ("page_view", "checkout", "purchase")
AGES = {(1, 2): "weeks_1_2", (3, 4): "weeks_3_4", (5, 6, 7): "weeks_5_7", (8,): "week_8"}


@dataclass(frozen=True, order=True)
class Event:
    occurred_at: datetime
    event_key: str
    event_name: str
    feature: str | None
    timeout: timedelta  # of its tenant's sessions, when it happened


Contribution = tuple[str | None, Unit] | None  # segment, and a value per metric; None for a unit that is no part of it


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _between(events: Sequence[Event], start: date, end: date) -> list[Event]:
    return sorted(event for event in events if midnight(start) <= event.occurred_at < midnight(end))


def feature_usage(events: Sequence[Event], due: Due) -> Contribution:
    events = _between(events, due.start, due.end)
    keys = [cell.key for cell in due.layout.cells]
    return (None, (frozenset(keys.index(e.feature) for e in events if e.feature in keys),)) if events else None


def engagement(events: Sequence[Event], due: Due) -> Contribution:
    events = _between(events, due.start, due.end)
    if not events:
        return None
    sessions, engaged = 1, timedelta()
    for earlier, later in pairwise(events):
        pause = later.occurred_at - earlier.occurred_at
        if pause > later.timeout:
            sessions += 1
        else:
            engaged += min(pause, 5 * MINUTE)
    return None, (sessions, engaged // SECOND, len({event.occurred_at.date() for event in events}))


def retention(events: Sequence[Event], due: Due) -> Contribution:
    before = _between(events, due.lookback_start, due.start)
    if not before:
        return None
    weeks = next(n for n in range(1, 9) if before[0].occurred_at >= midnight(due.start - n * 7 * DAY))
    [segment] = [name for ages, name in AGES.items() if weeks in ages]
    return segment, (frozenset({0} if _between(events, due.start, due.end) else ()),)


def funnel_conversion(events: Sequence[Event], due: Due) -> Contribution:
    done = 0
    for event in _between(events, due.start, due.end):
        if done < len(STEPS) and event.event_name == STEPS[done]:
            done += 1
    return (None, (frozenset({done - 1}),)) if done else None


def time_to_value(events: Sequence[Event], due: Due) -> Contribution:
    events = _between(events, due.lookback_start, due.end)
    uses = [event for event in events if event.feature]
    if not uses or uses[0].occurred_at < midnight(due.start):
        return None
    minutes = (uses[0].occurred_at - events[0].occurred_at) // MINUTE
    [metric] = [metric for metric in due.spec.metrics if metric.edges]
    return None, (frozenset({sum(edge <= minutes for edge in metric.edges) - 1}),)


RELEASES: dict[str, Callable[[Sequence[Event], Due], Contribution]] = {
    each.__name__: each for each in (feature_usage, engagement, retention, funnel_conversion, time_to_value)
}
