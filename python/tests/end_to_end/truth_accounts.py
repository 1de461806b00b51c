"""What mart_tenant_accounts and mart_tenant_skew should hold, worked out from the raw lines, one account at a time."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from tests.end_to_end.oracle import Oracle
from tests.end_to_end.truth_identity import Person
from tests.end_to_end.truth_rules import DAY, Event
from tests.end_to_end.truth_shares import share

REFERENCE = Path(__file__).parents[3] / "seeds" / "reference"
ENOUGH = 20


@dataclass(frozen=True)
class Account:
    """A row of mart_tenant_accounts, its columns in their order, the account as it was sent."""

    account: str
    as_of_date: date
    days_since_active: int
    seats_used: int
    features_used: int
    events: int
    events_before: int
    trend: Decimal | None
    trend_state: str
    top_user_share: Decimal | None
    top_user_state: str
    health_score: Decimal | None
    health_state: str


@dataclass(frozen=True)
class Skew:
    """A row of mart_tenant_skew, its columns in their order."""

    dimension: str
    as_of_date: date
    events: int
    members: int
    top_share: Decimal | None
    effective_members: Decimal | None
    leans_on_one: bool
    sample_state: str


def seed(name: str) -> list[dict[str, str]]:
    with (REFERENCE / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def accounts(oracle: Oracle) -> dict[str, list[Account]]:
    """Return the accounts of each tenant that has any."""
    found = {tenant: list(_accounts(oracle, events)) for tenant, events in oracle.by_tenant().items()}
    return {tenant: rows for tenant, rows in found.items() if rows}


def skew(oracle: Oracle) -> dict[str, list[Skew]]:
    """Return the three dimensions of each tenant."""
    found = {}
    for tenant, events in oracle.by_tenant().items():
        today = max(oracle.rules.local_date(event) for event in events)
        recent = [event for event in _active(oracle, events) if (today - oracle.rules.local_date(event)).days < 28]
        shared_by = {
            "account": Counter(str(event.row["account_id"]) for event in recent if event.row.get("account_id")),
            "day": Counter(str(oracle.rules.local_date(event)) for event in recent),
            "user": Counter(str(oracle.person(event)) for event in recent),
        }
        found[tenant] = [_skew(dimension, today, counts) for dimension, counts in shared_by.items()]
    return found


def _active(oracle: Oracle, events: list[Event]) -> list[Event]:
    """Return the events of the days on which their person was active."""
    excluded = oracle.excluded(events)
    active = {
        (oracle.person(event), oracle.rules.local_date(event)) for event in events if oracle.rules.is_activity(event)
    }
    return [
        event
        for event in events
        for day in [(oracle.person(event), oracle.rules.local_date(event))]
        if day in active and not excluded[day]
    ]


def _accounts(oracle: Oracle, events: list[Event]) -> Iterator[Account]:
    days = [oracle.rules.local_date(event) for event in events]
    first, today = min(days), max(days)
    is_long = today - first >= 55 * DAY
    features = {
        row["raw_feature"]: row["feature"] for row in seed("feature_catalog") if row["source_format"] == "quorum"
    }
    by_account = defaultdict(list)
    for event in _active(oracle, events):
        if event.row.get("account_id"):
            by_account[event.row["account_id"]].append(event)
    for account, used in by_account.items():
        ages = {event: (today - oracle.rules.local_date(event)).days for event in used}
        now = [event for event in used if ages[event] < 28]
        before = [event for event in used if 28 <= ages[event] < 56]
        of_person: Counter[Person] = Counter(oracle.person(event) for event in now)
        top = max(of_person.values(), default=0)
        used_features = {features[event.row["feature"]] for event in now if event.row.get("feature") in features}
        measured = {
            "days_since_active": min(ages.values()),
            "seats_used": len(of_person),
            "features_used": len(used_features),
            "trend_percent": len(now) * 100 // len(before) if before else 100 * bool(now),
            "top_user_percent": top * 100 // len(now) if now else 100,
        }
        is_known = is_long and len(used) >= ENOUGH
        yield Account(
            account=account,
            as_of_date=today,
            days_since_active=measured["days_since_active"],
            seats_used=measured["seats_used"],
            features_used=measured["features_used"],
            events=len(now),
            events_before=len(before),
            trend=_six_places(len(now), len(before)),
            trend_state=_state(is_long and len(before) >= ENOUGH),
            top_user_share=share(top, len(now)),
            top_user_state=_state(len(now) >= ENOUGH),
            health_score=_score(measured) if is_known else None,
            health_state=_state(is_known),
        )


def _score(measured: Mapping[str, int]) -> Decimal:
    """Add up the points, each cut to hundredths."""
    hundredths = 0
    for row in seed("account_health_weights"):
        none, full = int(row["no_score_at"]), int(row["full_score_at"])
        way = (measured[row["component"]] - none) * (1 if full > none else -1)
        hundredths += int(row["weight"]) * 100 * min(max(way, 0), abs(full - none)) // abs(full - none)
    return Decimal(hundredths) / 100


def _skew(dimension: str, today: date, counts: Counter[str]) -> Skew:
    events, top = sum(counts.values()), max(counts.values(), default=0)
    squares = sum(count * count for count in counts.values())
    return Skew(
        dimension=dimension,
        as_of_date=today,
        events=events,
        members=len(counts),
        top_share=share(top, events),
        effective_members=_six_places(events * events, squares),
        leans_on_one=top * 2 > events,
        sample_state=_state(events >= ENOUGH),
    )


def _six_places(numerator: int, denominator: int) -> Decimal | None:
    """Return a quotient cut after six places."""
    return Decimal(numerator * 1_000_000 // denominator) / 1_000_000 if denominator else None


def _state(is_enough: bool) -> str:
    return "ok" if is_enough else "not_enough_data"
