"""What gov_tenant_health_days should hold, worked out from the raw lines, a day at a time."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import ceil
from pathlib import Path

from tests.end_to_end.oracle import Oracle
from tests.end_to_end.truth_rules import DAY, MINUTE, Event, read


@dataclass(frozen=True)
class HealthDay:
    """A row of gov_tenant_health_days, its columns in their order, without the tenant."""

    utc_day: date
    freshness_sla_hours: int
    rows_judged: int
    accepted_events: int
    quarantined_rows: int
    late_events: int
    p95_lateness_minutes: int | None
    sla_state: str
    weeks: int
    usual_events: int | None
    median_deviation: int | None
    volume_score: Decimal | None
    volume_state: str


def health_days(root: Path, as_of: date) -> dict[str, list[HealthDay]]:
    """Return the last 56 days of each tenant that sent anything."""
    agreed = defaultdict(list)
    for row in sorted(read(root / "registry" / "tenants.csv"), key=lambda row: row["valid_from"]):
        agreed[row["tenant_id"]].append((date.fromisoformat(row["valid_from"]), int(row["freshness_sla_hours"])))
    refused: dict[str, Counter[date]] = defaultdict(Counter)
    for path in sorted((root / "landing" / "quorum").glob("*.jsonl")):
        for row in map(json.loads, path.read_text().splitlines()):
            if not row["user_id"]:
                received_on = datetime.fromisoformat(row["received_at"]).astimezone(UTC).date()
                refused[row["tenant_id"]][min(received_on, as_of)] += 1
    return {
        tenant: list(_days(events, refused[tenant], agreed[tenant], as_of))
        for tenant, events in Oracle(root, as_of).by_tenant().items()
    }


def _days(
    events: list[Event], refused: Counter[date], agreed: list[tuple[date, int]], as_of: date
) -> Iterator[HealthDay]:
    by_day = defaultdict(list)
    for event in events:
        by_day[event.occurred_at.astimezone(UTC).date()].append(event)
    first = min([*by_day, *refused])
    closed = datetime.combine(as_of, time(), UTC) + DAY
    for back in reversed(range(min(56, (as_of - first).days + 1))):
        day = as_of - back * DAY
        ends = datetime.combine(day, time(), UTC) + DAY
        hours = [hours for valid_from, hours in agreed if valid_from <= day][-1]
        due = ends + timedelta(hours=hours)
        lateness = [(event.received_at or event.occurred_at) - event.occurred_at for event in by_day[day]]
        late = sum((event.received_at or event.occurred_at) > due for event in by_day[day])
        earlier = [len(by_day[day - week * 7 * DAY]) for week in range(1, 9) if day - week * 7 * DAY >= first]
        usual = _nearest_rank(earlier, Fraction(1, 2)) if earlier else None
        spread = None if usual is None else _nearest_rank([abs(n - usual) for n in earlier], Fraction(1, 2))
        n = len(by_day[day])
        score = None if usual is None or spread is None else _score(n, usual, spread)
        is_regular = len(earlier) >= 4 and (usual or 0) >= 20
        seen = max((past for past in by_day if past <= day and by_day[past]), default=first)
        is_expected = is_regular or (day - seen) >= 7 * DAY + timedelta(hours=hours)
        yield HealthDay(
            utc_day=day,
            freshness_sla_hours=hours,
            rows_judged=n + refused[day],
            accepted_events=n,
            quarantined_rows=refused[day],
            late_events=late,
            p95_lateness_minutes=_nearest_rank([each // MINUTE for each in lateness], Fraction(95, 100)) if n else None,
            sla_state="pending" if due > closed else _state(n, late, is_expected=is_expected),
            weeks=len(earlier),
            usual_events=usual,
            median_deviation=spread,
            volume_score=score,
            volume_state="pending" if due > closed + DAY else _volume(n, usual, score, len(earlier)),
        )


def _state(events: int, late: int, *, is_expected: bool) -> str:
    if not events:
        return "silent" if is_expected else "quiet"
    return "late" if late == events or (late > 1 and late * 20 > events) else "met"


def _volume(events: int, usual: int | None, score: Decimal | None, weeks: int) -> str:
    if usual is None or score is None or weeks < 4 or max(events, usual) < 20:
        return "not_enough_data"
    return "low" if score < Decimal("-3.5") else "high" if score > Decimal("3.5") else "usual"


def _score(events: int, usual: int, spread: int) -> Decimal:
    exact = Fraction(6745, 10000) * (events - usual) / max(spread, usual // 10, 1)
    return (Decimal(exact.numerator) / exact.denominator).quantize(Decimal("0.01"), ROUND_HALF_UP)


def _nearest_rank(values: list[int], share: Fraction) -> int:
    return sorted(values)[max(ceil(share * len(values)), 1) - 1]
