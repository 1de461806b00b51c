"""What an experiment found, worked out from the raw events: plainly, and with nothing of the package in it."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import sqrt
from pathlib import Path

from tests.end_to_end.oracle import Oracle
from tests.end_to_end.truth_identity import Person
from tests.end_to_end.truth_rules import DAY, Event, read
from tests.end_to_end.truth_shares import share, wilson

# of chi-square at 0.001, from a table; one degree of freedom for each variant beyond the first
CRITICAL = [0, 10.828, 13.816, 16.266, 18.467]


@dataclass(frozen=True)
class Variant:
    """A row of mart_tenant_experiments, its columns in their order."""

    experiment: str
    variant: str
    is_control: bool
    starts_on: date
    ends_on: date
    days_observed: int
    exposed_users: int
    crossovers: int
    excluded_users: int
    exposed_share: Decimal | None
    expected_share: Decimal | None
    ratio_chi_square: Decimal | None
    ratio_degrees: int
    has_ratio_mismatch: bool
    converted_users: int
    conversion_rate: Decimal | None
    conversion_rate_low: Decimal | None
    conversion_rate_high: Decimal | None
    conversion_rate_state: str
    difference: Decimal | None
    difference_low: Decimal | None
    difference_high: Decimal | None
    verdict: str
    verdict_reason: str | None


def experiments(root: Path, oracle: Oracle) -> dict[str, list[Variant]]:
    """Return each tenant's rows, in order."""
    declared, variants = (read(root / "registry" / f"{name}.csv") for name in ("experiments", "experiment_variants"))
    found = {}
    for tenant, events in oracle.by_tenant().items():
        own = {row["tenant_id"] for row in declared}
        rules = [row for row in declared if row["tenant_id"] == (tenant if tenant in own else "*")]
        rows = [
            row
            for rule in rules
            for row in _rows(
                rule,
                {
                    each["variant"]: int(each["weight"])
                    for each in variants
                    if (each["tenant_id"], each["experiment"]) == (rule["tenant_id"], rule["experiment"])
                },
                oracle,
                events,
            )
        ]
        if rows:
            found[tenant] = sorted(rows, key=lambda row: (row.experiment, row.variant))
    return found


def _rows(rule: dict[str, str], weights: dict[str, int], oracle: Oracle, events: list[Event]) -> list[Variant]:
    excluded = oracle.excluded(events)
    ran = [event for event in events if _ran(rule, oracle, event)]
    exposures: dict[Person, list[tuple[datetime, str, date]]] = defaultdict(list)
    successes: dict[Person, list[datetime]] = defaultdict(list)
    for event in ran:
        person, day, said = oracle.person(event), oracle.rules.local_date(event), event.row.get("properties") or {}
        variant = said.get(rule["variant_property"])
        is_exposure = event.row["event_name"] == rule["exposure_event"]
        if is_exposure and said.get(rule["experiment_property"]) == rule["experiment"] and variant in weights:
            exposures[person].append((event.occurred_at, variant, day))
        if event.row["event_name"] == rule["metric_event"] and not excluded[person, day]:
            successes[person].append(event.occurred_at)
    kinds: dict[str, list[list[Person]]] = {variant: [[], [], [], []] for variant in weights}
    days = []
    for person, seen in exposures.items():
        at, variant, day = min(seen)
        exposed, crossed, left_out, converted = kinds[variant]
        if excluded[person, day]:
            left_out.append(person)
            continue
        days.append(day)
        if len({each for _, each, _ in seen}) > 1:
            crossed.append(person)
            continue
        exposed.append(person)
        if any(success > at for success in successes[person]):
            converted.append(person)
    last_full_day = max(oracle.rules.local_date(event) for event in events) - DAY
    ends_on = date.fromisoformat(rule["ends_on"])
    observed = max(0, (min(ends_on, last_full_day) - min(days)).days + 1) if days else 0
    return _judged(rule, weights, {variant: [len(each) for each in kinds[variant]] for variant in weights}, observed)


def _ran(rule: dict[str, str], oracle: Oracle, event: Event) -> bool:
    """Tell whether an experiment ran when an event happened, by the clocks of its first and last day."""
    starts_on, ends_on = (date.fromisoformat(rule[each]) for each in ("starts_on", "ends_on"))
    begins, ends = (oracle.rules.begins(event.tenant, str(day)) for day in (starts_on, ends_on + DAY))
    return begins <= event.occurred_at < ends


def _judged(
    rule: dict[str, str], weights: dict[str, int], counts: dict[str, list[int]], observed: int
) -> list[Variant]:
    users, weight = sum(each[0] for each in counts.values()), sum(weights.values())
    chi_square = None
    if users:
        expected = {variant: Fraction(users * weights[variant], weight) for variant in weights}
        chi_square = sum((counts[each][0] - expected[each]) ** 2 / expected[each] for each in weights)
    mismatch = chi_square is not None and chi_square > CRITICAL[len(weights) - 1]
    reasons = {
        "sample_ratio_mismatch": mismatch,
        "too_few_users": min(each[0] for each in counts.values()) < int(rule["min_sample"]),
        "too_few_days": observed < int(rule["min_days"]),
    }
    reason = next((name for name, holds in reasons.items() if holds), None)
    control, rows = rule["control"], []
    for variant, (exposed, crossed, left_out, converted) in counts.items():
        rate, (low, high) = share(converted, exposed), wilson(converted, exposed)
        against = _difference(counts[variant], counts[control]) if variant != control else (None, None, None)
        rows.append(
            Variant(
                experiment=rule["experiment"],
                variant=variant,
                is_control=variant == control,
                starts_on=date.fromisoformat(rule["starts_on"]),
                ends_on=date.fromisoformat(rule["ends_on"]),
                days_observed=observed,
                exposed_users=exposed,
                crossovers=crossed,
                excluded_users=left_out,
                exposed_share=share(exposed, users),
                expected_share=share(weights[variant], weight),
                ratio_chi_square=None if chi_square is None else _six_places(float(chi_square)),
                ratio_degrees=len(weights) - 1,
                has_ratio_mismatch=mismatch,
                converted_users=converted,
                conversion_rate=rate,
                conversion_rate_low=low,
                conversion_rate_high=high,
                conversion_rate_state="ok" if exposed >= 20 else "not_enough_data",
                difference=against[0],
                difference_low=against[1],
                difference_high=against[2],
                verdict="control" if variant == control else "do_not_read_yet" if reason else _verdict(*against),
                verdict_reason=reason,
            )
        )
    return rows


def _difference(own: list[int], other: list[int]) -> tuple[Decimal, Decimal, Decimal] | tuple[None, None, None]:
    """Return the difference of two rates and its interval, from the rates and intervals that are shown."""
    if not (own[0] and other[0]):
        return None, None, None
    (rate, low, high), (control, control_low, control_high) = _shown(own), _shown(other)
    down = sqrt((rate - low) ** 2 + (control_high - control) ** 2)
    up = sqrt((high - rate) ** 2 + (control - control_low) ** 2)
    difference = rate - control
    return difference, _six_places(float(difference) - down), _six_places(float(difference) + up)


def _shown(counts: list[int]) -> list[Decimal]:
    exposed, *_, converted = counts
    return [each for each in (share(converted, exposed), *wilson(converted, exposed)) if each is not None]


def _verdict(_: Decimal | None, low: Decimal | None, high: Decimal | None) -> str:
    return "better" if low and low > 0 else "worse" if high and high < 0 else "no_difference"


def _six_places(value: float) -> Decimal:
    return Decimal(value).quantize(Decimal("0.000001"), ROUND_HALF_UP)
