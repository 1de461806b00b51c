"""What the marts of features, retention and lifecycle should hold, worked out from the raw lines, a week at a time."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from statistics import median_low
from typing import Any

from tests.end_to_end.oracle import Oracle
from tests.end_to_end.truth_accounts import seed
from tests.end_to_end.truth_identity import Person
from tests.end_to_end.truth_rules import DAY, Event
from tests.end_to_end.truth_shares import share, wilson


@dataclass(frozen=True, order=True)
class Feature:
    """A row of mart_tenant_features, its columns in their order."""

    week_start: date
    feature: str
    active_users: int
    adopters: int
    adoption_rate: Decimal | None
    adoption_rate_low: Decimal | None
    adoption_rate_high: Decimal | None
    adoption_rate_state: str
    uses: int
    uses_per_adopter: Decimal | None
    features_per_adopter: Decimal | None
    new_adopters: int
    median_days_to_first_use: int | None


@dataclass(frozen=True, order=True)
class Cell:
    """A row of mart_tenant_retention."""

    method: str
    clock: str
    cohort_week: date
    period: str
    period_from: int
    cohort_users: int
    retained_users: int
    retention_rate: Decimal | None
    retention_rate_low: Decimal | None
    retention_rate_high: Decimal | None
    retention_rate_state: str


@dataclass(frozen=True, order=True)
class Week:
    """A row of mart_tenant_lifecycle."""

    population: str
    week_start: date
    opening_members: int
    active_members: int
    new_members: int
    returning_members: int
    resurrected_members: int
    dormant_members: int
    net_growth: int
    quick_ratio: Decimal | None


class Growth:
    """The active days of a tenant's persons, and the weeks that they lie in."""

    def __init__(self, oracle: Oracle, events: list[Event]) -> None:
        excluded = oracle.excluded(events)
        self.last_day = max(oracle.rules.local_date(event) for event in events)
        self.events: dict[Person, dict[date, list[Event]]] = {}
        for event in events:
            person, day = oracle.person(event), oracle.rules.local_date(event)
            if not excluded[person, day]:
                self.events.setdefault(person, {}).setdefault(day, []).append(event)
        for days in self.events.values():
            for day in [day for day, happened in days.items() if not any(map(oracle.rules.is_activity, happened))]:
                del days[day]
        self.events = {person: days for person, days in self.events.items() if days}
        self.week = {
            (person, day): min(map(oracle.rules.week_start, happened))
            for person, days in self.events.items()
            for day, happened in days.items()
        }
        first_days: dict[date, date] = {}  # of each week that the tenant has
        tenant, day = events[0].tenant, min((day for _, day in self.week), default=self.last_day + DAY)
        for known_day, week in [(day, week) for (_, day), week in self.week.items()]:
            first_days[week] = min(known_day, first_days.get(week, known_day))
        while day <= self.last_day:
            week = oracle.rules.week_on(tenant, day)
            first_days[week] = min(day, first_days.get(week, day))
            day += DAY
        self.weeks = sorted(first_days, key=lambda week: (first_days[week], week))

    def marts(self) -> dict[str, list[Any]]:
        """Return the rows of each mart, in order."""
        return {
            "mart_tenant_features": self.features(),
            "mart_tenant_retention": self.retention(),
            "mart_tenant_lifecycle": self.lifecycle(),
        }

    def features(self) -> list[Feature]:
        catalog = {
            row["raw_feature"]: row["feature"] for row in seed("feature_catalog") if row["source_format"] == "quorum"
        }
        used: dict[str, dict[Person, Counter[date]]] = {"*": {}}
        for person, days in self.events.items():
            for day, happened in days.items():
                for event in happened:
                    feature = catalog.get(event.row.get("feature") or "")
                    for name in {feature, "*"} if feature else ():
                        used.setdefault(name, {}).setdefault(person, Counter())[day] += 1
        return sorted(
            self._feature(week, feature, by_person, used) for week in self.weeks for feature, by_person in used.items()
        )

    def _feature(
        self,
        week: date,
        feature: str,
        by_person: dict[Person, Counter[date]],
        used: dict[str, dict[Person, Counter[date]]],
    ) -> Feature:
        active = {person for (person, _), active_week in self.week.items() if active_week == week}

        def uses(person: Person, days: Counter[date]) -> int:
            return sum(count for day, count in days.items() if self.week[person, day] == week)

        adopters = {person for person, days in by_person.items() if uses(person, days)}
        breadth = [
            name
            for name, others in used.items()
            for person in adopters
            if name != "*" and uses(person, others.get(person, Counter()))
        ]
        new = {
            person: min(by_person[person]) for person in adopters if self.week[person, min(by_person[person])] == week
        }
        total = sum(uses(person, by_person[person]) for person in adopters)
        low, high = wilson(len(adopters), len(active))
        return Feature(
            week_start=week,
            feature=feature,
            active_users=len(active),
            adopters=len(adopters),
            adoption_rate=share(len(adopters), len(active)),
            adoption_rate_low=low,
            adoption_rate_high=high,
            adoption_rate_state=_state(len(active)),
            uses=total,
            uses_per_adopter=_cut(total, len(adopters)),
            features_per_adopter=_cut(len(breadth), len(adopters)),
            new_adopters=len(new),
            median_days_to_first_use=median_low((day - min(self.events[person])).days for person, day in new.items())
            if new
            else None,
        )

    def retention(self) -> list[Cell]:
        cohorts = {week: [person for person in self.events if self._cohort(person) == week] for week in self.weeks}
        with_cohort = [number for number, week in enumerate(self.weeks) if cohorts[week]]
        return sorted(
            self._cell(week, cohorts[week], period)
            for week in self.weeks[: with_cohort[-1] + 1 if with_cohort else 0]
            for period in seed("retention_periods")
            if week + DAY * int(period["period_from"]) * (7 if period["unit"] == "week" else 1) <= self.last_day
        )

    def _cohort(self, person: Person) -> date:
        return self.week[person, min(self.events[person])]

    def _cell(self, week: date, cohort: list[Person], period: dict[str, str]) -> Cell:
        first, last = int(period["period_from"]), int(period["period_to"] or 10**6)
        ends = int(period["period_to"] or period["period_from"])
        if period["clock"] == "rolling":
            ages = {person: {(day - min(self.events[person])).days for day in self.events[person]} for person in cohort}
            is_over = all(min(self.events[person]) + DAY * ends <= self.last_day for person in cohort)
        else:
            ages = {
                person: {_weeks_from(week, self.week[person, day]) for day in self.events[person]} for person in cohort
            }
            today = self.weeks[-1]
            tomorrow = today + 7 * DAY if self.last_day - today == 6 * DAY else today
            is_over = _weeks_from(week, tomorrow) > ends or not cohort
        retained = [person for person in cohort if any(first <= age <= last for age in ages[person])]
        low, high = wilson(len(retained), len(cohort))
        return Cell(
            method=period["method"],
            clock=period["clock"],
            cohort_week=week,
            period=period["period"],
            period_from=first,
            cohort_users=len(cohort),
            retained_users=len(retained),
            retention_rate=share(len(retained), len(cohort)),
            retention_rate_low=low,
            retention_rate_high=high,
            retention_rate_state=_state(len(cohort)) if is_over else "immature",
        )

    def lifecycle(self) -> list[Week]:
        users = {person: {self.week[person, day] for day in days} for person, days in self.events.items()}
        accounts: dict[str, set[date]] = {}
        for person, days in self.events.items():
            for day, happened in days.items():
                for account in filter(None, {event.row.get("account_id") for event in happened}):
                    accounts.setdefault(account, set()).add(self.week[person, day])
        return sorted([*self._weeks("users", users), *self._weeks("accounts", accounts)])

    def _weeks(self, population: str, weeks_of: Mapping[Any, set[date]]) -> Iterator[Week]:
        before: set[Any] = set()
        ever: set[Any] = set()
        for week in self.weeks if weeks_of else []:
            active = {member for member, weeks in weeks_of.items() if week in weeks}
            won, lost = active - before, before - active
            yield Week(
                population=population,
                week_start=week,
                opening_members=len(before),
                active_members=len(active),
                new_members=len(active - ever),
                returning_members=len(active & before),
                resurrected_members=len((active & ever) - before),
                dormant_members=len(lost),
                net_growth=len(active) - len(before),
                quick_ratio=_cut(len(won), len(lost)),
            )
            before, ever = active, ever | active


def growth(oracle: Oracle) -> dict[str, Growth]:
    """Return what each tenant's three marts come of."""
    return {tenant: Growth(oracle, events) for tenant, events in oracle.by_tenant().items()}


def _weeks_from(cohort: date, week: date) -> int:
    return max((week - cohort).days, 0) // 7


def _cut(numerator: int, denominator: int) -> Decimal | None:
    """Return a quotient cut after six places."""
    return Decimal(numerator * 1_000_000 // denominator) / 1_000_000 if denominator else None


def _state(sample: int) -> str:
    return "ok" if sample >= 20 else "not_enough_data"
