"""What mart_tenant_funnels should hold, worked out event by event from the definition of a funnel.

Slow and plain on purpose, and nothing of the package is in it: no folds, no bits, no increments, only the rules.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from tests.end_to_end.oracle import Oracle
from tests.end_to_end.truth_identity import Person
from tests.end_to_end.truth_rules import read
from tests.end_to_end.truth_shares import share, wilson


class Row(NamedTuple):
    """A row of mart_tenant_funnels without its tenant, the columns in their order."""

    funnel: str
    week_start: date
    step: int
    step_name: str
    sequence: str
    grain: str
    window_hours: int
    entered: int
    reached: int
    conversion_rate: Decimal | None
    conversion_rate_low: Decimal | None
    conversion_rate_high: Decimal | None
    conversion_rate_state: str | None
    reached_before: int | None
    step_conversion_rate: Decimal | None
    step_conversion_rate_low: Decimal | None
    step_conversion_rate_high: Decimal | None
    step_conversion_rate_state: str | None
    median_seconds_to_step: int | None
    is_immature: bool


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

    def subject(self, deed: "Deed") -> tuple[Person | str, str] | None:
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

    person: Person | str
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


def truth(oracle: Oracle, registry: Path) -> dict[str, list[Row]]:
    """Return the whole mart by tenant, of those that have any row of it."""
    found = {}
    for tenant, events in oracle.by_tenant().items():
        excluded = oracle.excluded(events)
        deeds = [
            Deed(
                person=oracle.person(event),
                account=event.row["account_id"],
                event_name=event.row["event_name"],
                feature=event.row["feature"],
                occurred_at=event.occurred_at,
                tie_breaker=event.event_id,
                week_start=oracle.rules.week_start(event),
                is_activity=oracle.rules.is_activity(event),
                is_excluded=bool(
                    oracle.rules.listed_as(event) or excluded[oracle.person(event), oracle.rules.local_date(event)]
                ),
                properties={name: _text(value) for name, value in (event.row.get("properties") or {}).items()},
            )
            for event in events
        ]
        found[tenant] = rows(declared(registry, tenant), deeds, max(deed.occurred_at for deed in deeds))
    return {tenant: of_tenant for tenant, of_tenant in found.items() if of_tenant}


def declared(registry: Path, tenant: str) -> list[Funnel]:
    """Read a tenant's own funnels, or those of all who have none."""
    lines = sorted(read(registry / "funnels.csv"), key=lambda line: int(line["step"]))
    owner = tenant if any(line["tenant_id"] == tenant for line in lines) else "*"
    steps = defaultdict(list)
    for line in (line for line in lines if line["tenant_id"] == owner):
        how = (line["sequence"], int(line["window_hours"]), line["grain"], line["held_property"] or None)
        steps[line["funnel"], *how].append(Step(line["step_name"], line["event_name"] or None, line["feature"] or None))
    return [Funnel(*funnel, tuple(in_order)) for funnel, in_order in steps.items()]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def rows(funnels: Iterable[Funnel], deeds: list[Deed], last_event_at: datetime) -> list[Row]:
    """Return the rows of a tenant."""
    found = [row for funnel in funnels for row in _rows(funnel, deeds, last_event_at)]
    return sorted(found, key=lambda row: (row.funnel, row.week_start, row.step))


def _rows(funnel: Funnel, deeds: list[Deed], last_event_at: datetime) -> Iterator[Row]:
    weeks = defaultdict(list)
    for attempt in attempts(funnel, deeds):
        weeks[attempt.week_start].append(attempt.reached_at)
    window = timedelta(hours=funnel.window_hours)
    for week, of_week in weeks.items():
        entered, before = len(of_week), None
        for number, step in enumerate(funnel.steps):
            waits = sorted((at[number] - at[0]) // timedelta(seconds=1) for at in of_week if len(at) > number)
            reached = len(waits)
            low, high = wilson(reached, entered)
            step_low, step_high = wilson(reached, before or 0)
            yield Row(
                funnel=funnel.name,
                week_start=week,
                step=number + 1,
                step_name=step.name,
                sequence=funnel.sequence,
                grain=funnel.grain,
                window_hours=funnel.window_hours,
                entered=entered,
                reached=reached,
                conversion_rate=share(reached, entered),
                conversion_rate_low=low,
                conversion_rate_high=high,
                conversion_rate_state=_state(entered),
                reached_before=before,
                step_conversion_rate=share(reached, before or 0),
                step_conversion_rate_low=step_low,
                step_conversion_rate_high=step_high,
                step_conversion_rate_state=None if before is None else _state(before),
                median_seconds_to_step=waits[(reached - 1) // 2] if waits else None,
                is_immature=any(reached_at[0] + window >= last_event_at for reached_at in of_week),
            )
            before = reached


def _state(trials: int) -> str:
    return "ok" if trials >= 20 else "not_enough_data"
