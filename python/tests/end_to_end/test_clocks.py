"""Which of a row's clocks says when its event happened, rule by rule and at the borders."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import product
from typing import Any

import pytest

from tests.end_to_end import worlds
from tests.end_to_end.histories import event, registered
from tests.end_to_end.oracle import clocked

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
TICK = timedelta(microseconds=1)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATEST = datetime.combine(worlds.LAST_DAY, time(), UTC) + 2 * DAY  # a day after the end of the as-of day
IN_1990 = datetime(1990, 1, 1, tzinfo=UTC)
LONG_AGO, LONG_HENCE = "290000-01-01 (BC)", "290000-01-01"  # all but the ends of what DuckDB can hold

Clocks = tuple[Any, Any, Any]  # occurred_at, sent_at, received_at
TIMES: dict[str, tuple[Clocks, tuple[str, datetime]]] = {
    "as sent": ((NOON - MINUTE, None, NOON), ("occurred_at", NOON - MINUTE)),
    "as sent, and no other clock": ((NOON, None, None), ("occurred_at", NOON)),
    "years late": ((IN_1990, None, NOON), ("occurred_at", IN_1990)),
    "years late from a device whose clock is right": ((IN_1990, NOON, NOON), ("occurred_at", IN_1990)),
    "sent, and never received": ((NOON, NOON - DAY, None), ("occurred_at", NOON)),
    "five minutes slow": ((NOON - 6 * MINUTE, NOON - 5 * MINUTE, NOON), ("occurred_at", NOON - 6 * MINUTE)),
    "slower": ((NOON - 6 * MINUTE, NOON - 5 * MINUTE - TICK, NOON), ("corrected", NOON - MINUTE + TICK)),
    "a day slow": ((NOON - DAY - MINUTE, NOON - DAY, NOON), ("corrected", NOON - MINUTE)),
    "five minutes fast": ((NOON - MINUTE, NOON + 5 * MINUTE, NOON), ("occurred_at", NOON - MINUTE)),
    "faster": ((NOON, NOON + 5 * MINUTE + TICK, NOON), ("corrected", NOON - 5 * MINUTE - TICK)),
    "a device set back to 1970": (("1970-01-01", "1970-01-01 00:01", NOON), ("corrected", NOON - MINUTE)),
    "a device ahead by a century": (("2126-03-02", "2126-03-02 00:01", NOON), ("corrected", NOON - MINUTE)),
    "received and then it happened": ((NOON + TICK, None, NOON), ("capped", NOON)),
    "a day after it was received": ((NOON + DAY, None, NOON), ("capped", NOON)),
    "corrected to after it was received": ((NOON + DAY + MINUTE, NOON + DAY, NOON), ("capped", NOON)),
    "no clock but the collector's": (("soon", NOON - DAY, NOON), ("received_at", NOON)),
    "the latest that may be": ((LATEST, None, None), ("occurred_at", LATEST)),
    "a device at the end of time": ((LONG_HENCE, LONG_HENCE, NOON), ("corrected", NOON)),
    "received at the end of time": ((NOON, None, "infinity"), ("occurred_at", NOON)),
}
REFUSED: dict[str, tuple[Clocks, str]] = {
    "the second day after it was received": ((NOON + DAY + TICK, None, NOON), "future_timestamp"),
    "corrected to then": ((NOON + TICK, NOON - DAY, NOON), "future_timestamp"),
    "the second day after the as-of day": ((LATEST + TICK, None, None), "future_timestamp"),
    "received then": ((None, None, LATEST + TICK), "future_timestamp"),
    "before 1990": ((IN_1990 - TICK, None, NOON), "bad_timestamp"),
    "corrected to that": ((NOON, NOON + 60 * 366 * DAY, NOON), "bad_timestamp"),
    "no clock": (("", NOON, None), "bad_timestamp"),
    "corrected to the end of time": ((NOON, NOON, "infinity"), "future_timestamp"),
    "infinity": (("infinity", None, NOON), "future_timestamp"),
    "minus infinity": (("-infinity", "infinity", NOON), "bad_timestamp"),
    "from one end of time to the other": ((LONG_HENCE, LONG_AGO, NOON), "future_timestamp"),
    "and back": ((LONG_AGO, LONG_HENCE, NOON), "bad_timestamp"),
    "between all ends": (("-infinity", LONG_HENCE, LONG_AGO), "bad_timestamp"),
}
ABOUT = [sign * (border + tick) for border in (5 * MINUTE, DAY) for tick in (-TICK, 0 * TICK, TICK) for sign in (-1, 1)]
GRID: list[tuple[datetime, datetime, datetime]] = [
    (NOON + occurred, NOON + sent, NOON) for occurred, sent in product([*ABOUT, 0 * DAY, -40 * DAY], repeat=2)
]


def rows() -> Iterator[dict[str, Any]]:
    hand_made = [clocks for clocks, _ in [*TIMES.values(), *REFUSED.values()]]
    for number, clocks in enumerate([*hand_made, *GRID]):
        occurred_at, sent_at, received_at = (each and str(each) for each in clocks)
        more = {"occurred_at": occurred_at, "sent_at": sent_at, "received_at": received_at}
        yield event("acme", "u", f"e{number}", NOON) | more


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Return what became of each row: the rule and the instant, or the reason of its quarantine."""
    workspace = worlds.registered(tmp_path_factory.mktemp("clocks"), [registered("acme")])
    worlds.land(workspace, "clocks.jsonl", rows())
    worlds.ingest(workspace)
    taken = worlds.fetch(workspace, "tenant", "select landing_row, occurred_at_rule, occurred_at from int_events")
    refused = worlds.fetch(workspace, "restricted", "select landing_row, reason from int_quarantine")
    ends = {row: (rule, at.replace(tzinfo=UTC)) for row, rule, at in taken} | dict(refused)
    return [ends[row] for row in sorted(ends)]


def test_each_row_by_hand(found: list[Any]) -> None:
    expected = {name: end for name, (_, end) in [*TIMES.items(), *REFUSED.items()]}
    assert dict(zip(expected, found, strict=False)) == expected


def test_all_about_the_borders(found: list[Any]) -> None:
    for clocks, end in zip(GRID, found[-len(GRID) :], strict=True):
        occurred_at, rule = clocked(*clocks)
        assert occurred_at
        assert end == ("future_timestamp" if occurred_at > NOON + DAY else (rule, occurred_at)), clocks
