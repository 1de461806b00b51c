"""What mart_tenant_attribution should hold, worked out from the raw lines, one conversion and session at a time."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from tests.end_to_end.oracle import Oracle
from tests.end_to_end.truth_rules import Event, read

WHOLE = 1_000_000
MODELS = ("first", "last", "linear", "position")
CHANNELS = {
    "search": r"https?://([a-z0-9-]+\.)*(google|bing|duckduckgo|yahoo|baidu|yandex|ecosia)\.",
    "social": r"https?://([a-z0-9-]+\.)*(facebook|instagram|linkedin|twitter|x|reddit|youtube|tiktok|t)\.(com|co)(/|$)",
    "mail": r"https?://(mail|webmail|outlook)\.",
}


@dataclass(frozen=True, order=True)
class Row:
    """A row of the mart, its columns in their order, without the tenant."""

    week_start: date
    conversion: str
    attribution_model: str
    source: str
    credited_conversions: Decimal
    credited_value_minor: int
    conversions_in_week: int
    state: str


def attribution(root: Path, oracle: Oracle) -> dict[str, list[Row]]:
    """Return the rows of each tenant, in order."""
    declared = defaultdict(list)
    for row in read(root / "registry" / "conversions.csv"):
        declared[row["tenant_id"]].append(row)
    found = {
        tenant: sorted(_rows(oracle, events, declared.get(tenant) or declared["*"]))
        for tenant, events in oracle.by_tenant().items()
    }
    return {tenant: rows for tenant, rows in found.items() if rows}


def _rows(oracle: Oracle, events: list[Event], declared: list[dict[str, str]]) -> Iterator[Row]:
    excluded = oracle.excluded(events)
    active = {
        (oracle.person(event), oracle.rules.local_date(event)) for event in events if oracle.rules.is_activity(event)
    }
    sessions = defaultdict(list)
    for session in oracle.sessions(events):
        sessions[oracle.person(session[0])].append(session)

    credits: Counter[tuple[date, str, str, str]] = Counter()
    values: Counter[tuple[date, str, str, str]] = Counter()
    sample: Counter[tuple[date, str]] = Counter()
    for definition in declared:
        name, lookback = definition["conversion"], timedelta(days=int(definition["lookback_days"]))
        for event in events:
            person, day = oracle.person(event), oracle.rules.local_date(event)
            if (
                event.row["event_name"] != definition["event_name"]
                or (person, day) not in active
                or excluded[person, day]
            ):
                continue
            week = oracle.rules.week_start(event)
            sample[week, name] += 1
            touches = [
                source(session[0])
                for session in sessions[person]
                if event in session
                or (
                    event.occurred_at - lookback <= session[0].occurred_at <= event.occurred_at
                    and not excluded[person, oracle.rules.local_date(session[0])]
                )
            ]
            for model in MODELS:
                of_touches = dealt(WHOLE, parts(model, len(touches)))
                for each, credit, value in zip(
                    touches,
                    of_touches,
                    dealt(event.row["value_minor"] or 0, [Fraction(n, WHOLE) for n in of_touches]),
                    strict=True,
                ):
                    credits[week, name, model, each] += credit
                    values[week, name, model, each] += value
    for (week, name, model, each), credit in credits.items():
        if credit:
            in_week = sample[week, name]
            state = "ok" if in_week >= 20 else "not_enough_data"
            value = values[week, name, model, each]
            yield Row(week, name, model, each, Decimal(credit) / WHOLE, value, in_week, state)


def parts(model: str, touches: int) -> list[Fraction]:
    """Return the share of each touch, in order, before rounding."""
    if model == "linear":
        return [Fraction(1, touches)] * touches
    if model == "position" and touches > 1:
        between = [Fraction(1, 5 * (touches - 2))] * (touches - 2) if touches > 2 else []
        end = Fraction(2, 5) if between else Fraction(1, 2)
        return [end, *between, end]
    one = [Fraction(1)]
    return [Fraction(0)] * (touches - 1) + one if model == "last" else one + [Fraction(0)] * (touches - 1)


def dealt(amount: int, shares: list[Fraction]) -> list[int]:
    """Return an amount in whole units, cut towards zero; the last one gets the rest."""
    cut = [int(amount * share) for share in shares[:-1]]
    return [*cut, amount - sum(cut)]


def source(event: Event) -> str:
    referrer = event.row.get("referrer")
    if referrer is None:
        return "direct"
    return next((channel for channel, like in CHANNELS.items() if re.match(like, referrer, re.IGNORECASE)), "other")
