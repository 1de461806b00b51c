"""What mart_tenant_funnels should hold, worked out event by event from the definition of a funnel.

Slow and plain on purpose, and nothing of the package is in it: no lists to fold, no bits, no increments, only the rules.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from math import sqrt

Z = 1.959963984540054
Row = tuple[object, ...]


@dataclass(frozen=True)
class Step:
    name: str
    event_name: str | None
    feature: str | None

    def matches(self, deed: "Deed") -> bool:
        return self.event_name in (None, deed.event_name) and self.feature in (None, deed.feature)


@dataclass(frozen=True)
class Funnel:
    name: str
    sequence: str
    window_hours: int
    grain: str
    held_property: str | None
    steps: tuple[Step, ...]

    def subject(self, deed: "Deed") -> tuple[str, str] | None:
        """Return whose event it is in this funnel, or None for an event that takes no part."""
        subject = deed.account if self.grain == "account" else deed.person
        held = deed.properties.get(self.held_property) if self.held_property else ""
        if deed.is_excluded or subject is None or held is None:
            return None
        sees = self.sequence == "strict" and deed.is_activity
        return (subject, held) if sees or any(step.matches(deed) for step in self.steps) else None


@dataclass(frozen=True)
class Deed:
    """An accepted event, as far as funnels look at it."""

    person: str
    account: str | None
    event_name: str | None
    feature: str | None
    occurred_at: datetime
    tie_breaker: str
    week_start: date
    is_activity: bool = True
    is_excluded: bool = False
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Attempt:
    week_start: date
    reached_at: tuple[datetime, ...]


def attempts(funnel: Funnel, deeds: Iterable[Deed]) -> Iterator[Attempt]:
    """Yield the attempts of all subjects, one for each and each week in which it begins."""
    of_subjects = defaultdict(list)
    for deed in sorted(deeds, key=lambda deed: (deed.occurred_at, deed.tie_breaker)):
        of_subjects[funnel.subject(deed)].append(deed)
    of_subjects.pop(None, None)
    for own in of_subjects.values():
        for week in {deed.week_start for deed in own}:
            first = next((n for n, deed in enumerate(own) if deed.week_start == week and begins(funnel, deed)), None)
            if first is not None:
                closes_at = own[first].occurred_at + timedelta(hours=funnel.window_hours)
                in_time = [deed for deed in own[first:] if deed.occurred_at <= closes_at]
                yield Attempt(week, tuple(deed.occurred_at for deed in WAYS[funnel.sequence](funnel, in_time)))


def begins(funnel: Funnel, deed: Deed) -> bool:
    steps = funnel.steps if funnel.sequence == "any" else funnel.steps[:1]
    return any(step.matches(deed) for step in steps)


def _ordered(funnel: Funnel, deeds: list[Deed]) -> Iterator[Deed]:
    """Yield the earliest event that matches the first step, after it the earliest of the second, and so on."""
    start = 0
    for step in funnel.steps:
        found = next((n for n in range(start, len(deeds)) if step.matches(deeds[n])), None)
        if found is None:
            return
        yield deeds[found]
        start = found + 1


def _strict(funnel: Funnel, deeds: list[Deed]) -> Iterator[Deed]:
    for step, deed in zip(funnel.steps, deeds, strict=False):
        if not step.matches(deed):
            return
        yield deed


def _any(funnel: Funnel, deeds: list[Deed]) -> Iterator[Deed]:
    missing = list(funnel.steps)
    for deed in deeds:
        done = next((step for step in missing if step.matches(deed)), None)
        if done:
            missing.remove(done)
            yield deed


WAYS = {"ordered": _ordered, "strict": _strict, "any": _any}


def rows(funnels: Iterable[Funnel], deeds: list[Deed], last_event_at: datetime) -> list[Row]:
    """Return a tenant's rows of mart_tenant_funnels without the tenant's key, the columns in their order."""
    return sorted(row for funnel in funnels for row in _rows(funnel, deeds, last_event_at))


def _rows(funnel: Funnel, deeds: list[Deed], last_event_at: datetime) -> Iterator[Row]:
    weeks = defaultdict(list)
    for attempt in attempts(funnel, deeds):
        weeks[attempt.week_start].append(attempt.reached_at)
    window = timedelta(hours=funnel.window_hours)
    for week, of_week in weeks.items():
        is_immature = any(reached_at[0] + window >= last_event_at for reached_at in of_week)
        before = None
        for number, step in enumerate(funnel.steps):
            waits = sorted((at[number] - at[0]) // timedelta(seconds=1) for at in of_week if len(at) > number)
            yield (
                *(funnel.name, week, number + 1, step.name, funnel.sequence, funnel.grain, funnel.window_hours),
                *(len(of_week), len(waits), *share(len(waits), len(of_week)), state(len(of_week))),
                *(before, *share(len(waits), before or 0), None if before is None else state(before)),
                *(waits[(len(waits) - 1) // 2] if waits else None, is_immature),
            )
            before = len(waits)


def share(successes: int, trials: int) -> tuple[Decimal | None, ...]:
    """Return a rate and its interval by Wilson, or nothing where there is no trial."""
    if not trials:
        return None, None, None
    middle, width = successes + Z * Z / 2, Z * sqrt(successes * (trials - successes) / trials + Z * Z / 4)
    bounds = (min(1.0, max(0.0, (middle + side * width) / (trials + Z * Z))) for side in (-1, 1))
    return tuple(Decimal(each).quantize(Decimal("0.000001"), ROUND_HALF_UP) for each in (successes / trials, *bounds))


def state(trials: int) -> str:
    return "ok" if trials >= 20 else "not_enough_data"
