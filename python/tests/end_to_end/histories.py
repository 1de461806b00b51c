"""Tenants whose events land in batches, late and out of order: the awkward ones by hand, the others at random."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2024, 3, 1, 23, 40, tzinfo=UTC)  # so that short sessions cross midnight in UTC, and in summer
BATCHES = 3

MINUTE, HOUR, DAY = 60, 3600, 86400
IN_2099 = 75 * 365 * DAY
AHEAD = "ahead of its time"
ZONES = ("UTC", "Europe/Lisbon", "America/St_Johns", "Asia/Kolkata", "Pacific/Apia")

Rules = dict[str, str]  # columns of the registry
Row = dict[str, Any]


@dataclass(frozen=True)
class History:
    """One tenant. An event is (user, event id, seconds since START); each batch is a list of them."""

    tenant: str
    batches: list[list[tuple[str, str, int]]]
    versions: list[Rules] = field(default_factory=lambda: [{}])

    def rows(self, batch: int) -> list[Row]:
        return [
            event(self.tenant, user, event_id, START + timedelta(seconds=seconds))
            for user, event_id, seconds in self.batches[batch]
        ]

    def registered(self) -> Iterator[Rules]:
        return (registered(self.tenant, **version) for version in self.versions)


def event(tenant: str, user: str, event_id: str, occurred_at: datetime, **more: Any) -> Row:
    instant = occurred_at.isoformat()
    return {
        "tenant_id": tenant,
        "user_id": user,
        "event_id": event_id,
        "event_name": "feature_used",
        "feature": "search",
        "occurred_at": instant,
        "received_at": instant,
        **more,
    }


def registered(tenant: str, **rules: str) -> Rules:
    return {
        "tenant_id": tenant,
        "valid_from": "2020-01-01",
        "industry": "retail",
        "region": "eu",
        "size_band": "small",
        "plan": "pro",
        "owner_group": "",
        "timezone": "UTC",
        "week_start": "monday",
        "session_timeout_minutes": "30",
        "benchmark_consent": "true",
        "retention_days": "36500",
        "freshness_sla_hours": "24",
        "daily_event_quota": "1000000",
        "publish_bundle": "true",
        **rules,
    }


def _of_one_user(tenant: str, *batches: list[int], **rules: str) -> History:
    """Each instant is an event of its own."""
    return History(tenant, [[("u", f"e{seconds}", seconds) for seconds in batch] for batch in batches], [rules])


BY_HAND = [
    _of_one_user("a late event merges two sessions", [0, 50 * MINUTE], [25 * MINUTE], []),
    _of_one_user("and one more merges merged ones", [0, 50 * MINUTE], [25 * MINUTE, 100 * MINUTE], [75 * MINUTE]),
    _of_one_user("exactly the timeout, and a second more", [0], [30 * MINUTE], [60 * MINUTE + 1]),
    _of_one_user("timeout of a day", [0, 2 * DAY], [DAY], [3 * DAY + 1], session_timeout_minutes="1440"),
    _of_one_user("forty quiet days after", [0], [40 * DAY], []),
    _of_one_user("forty quiet days before", [100 * DAY], [60 * DAY], []),
    _of_one_user("a day amid eighty quiet ones", [0, 80 * DAY], [40 * DAY], []),
    _of_one_user("nothing at first", [], [], [0]),
    History("one event lands thrice", [[("u", "e", 0)], [("u", "e", 0)], [("u", "e", 0), ("v", "e", 0)]]),
    History("a copy received earlier takes its only day", [[("u", "e", 9 * DAY)], [("u", "e", 3 * DAY)], []]),
    History(
        "and the last day, then the first",
        [
            [("u", "a", 0), ("u", "b", 40 * DAY), ("u", "c", 70 * DAY)],
            [("u", "c", 41 * DAY)],
            [("u", "b", DAY), ("u", "a", -9 * DAY)],
        ],
    ),
    History(
        "a copy received earlier tears a session apart",
        [[("u", "a", 0), ("u", "b", 20 * MINUTE), ("u", "c", 40 * MINUTE)], [("u", "b", -5 * DAY)], []],
    ),
    _of_one_user(AHEAD, [0, IN_2099], [DAY], [2 * DAY]),
    History(
        "rules that change",
        [[("u", "a", 0), ("u", "b", 10 * DAY)], [("u", "c", 20 * MINUTE)], [("u", "d", 10 * DAY + 20 * MINUTE)]],
        [{}, {"valid_from": "2024-03-06", "session_timeout_minutes": "10", "timezone": "Asia/Tokyo"}],
    ),
]


def at_random(number: int, dice: random.Random) -> History:
    """A few users who come back after gaps about the timeout, a day or the windows; any event in any batch."""
    timeout = dice.choice([1, 30, 1440])
    lengths = [0, 1, timeout * MINUTE, timeout * MINUTE + 1, HOUR, DAY, 6 * DAY, 7 * DAY, 27 * DAY, 28 * DAY, 40 * DAY]
    gaps = dice.sample(lengths, 3)
    batches: list[list[tuple[str, str, int]]] = [[] for _ in range(BATCHES)]
    for user in "uvw"[: dice.randint(1, 3)]:
        seconds = dice.randrange(30 * DAY)
        for step in range(dice.randint(1, 12)):
            seconds += dice.choice(gaps)
            # now and then it lands twice, and not as it was
            for batch in dice.choices(range(BATCHES), k=dice.choice([1, 1, 1, 2, 3])):
                batches[batch].append((user, f"e{step}", seconds + dice.choice([0, 0, 1, MINUTE, 2 * DAY])))
    rules = {"session_timeout_minutes": str(timeout), "timezone": dice.choice(ZONES)}
    return History(f"random {number}", batches, [rules])


def histories(seed: int) -> list[History]:
    dice = random.Random(seed)
    return BY_HAND + [at_random(number, dice) for number in range(30)]
