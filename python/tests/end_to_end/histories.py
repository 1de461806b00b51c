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
ACCOUNTS = ("north", "south", None)  # by the minute, so that a copy of an event may be another account's
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ZONES = ("UTC", "Europe/Lisbon", "America/St_Johns", "Asia/Kolkata", "Pacific/Apia")

Rules = dict[str, str]  # columns of the registry
Row = dict[str, Any]


@dataclass(frozen=True)
class History:
    """One tenant. An event is (who, event id, seconds since START); who is `user`, `user@device` or `@device`."""

    tenant: str
    batches: list[list[tuple[str, str, int]]]
    versions: list[Rules] = field(default_factory=lambda: [{}])

    def rows(self, batch: int) -> list[Row]:
        return [
            event(
                self.tenant,
                user,
                event_id,
                START + timedelta(seconds=seconds),
                **({"anonymous_id": device} if at else {}),
                account_id=ACCOUNTS[seconds // MINUTE % 3],
                feature="search" if seconds // HOUR % 2 else "export",
            )
            for who, event_id, seconds in self.batches[batch]
            for user, at, device in [who.partition("@")]
        ]

    def accepted(self) -> int:
        """Return how many events there are, whose copies are one: of a user, or of a device where no user is named."""
        return len({(who.partition("@")[0] or who, event_id) for batch in self.batches for who, event_id, _ in batch})

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
        "max_users_per_device": "",
        "max_users_per_person": "",
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
        "one account goes and one comes",
        [
            [("u", f"n{day}", day * DAY) for day in (0, *range(24, 38))],
            [("u", f"n{day}", day * DAY) for day in range(38, 46)]
            + [("u", f"s{day}", day * DAY + 61 * MINUTE) for day in range(72, 79)],
            [("v", f"s{day}", day * DAY + MINUTE) for day in range(58, 73)],
        ],
    ),
    History(
        "rules that change",
        [[("u", "a", 0), ("u", "b", 10 * DAY)], [("u", "c", 20 * MINUTE)], [("u", "d", 10 * DAY + 20 * MINUTE)]],
        [{}, {"valid_from": "2024-03-06", "session_timeout_minutes": "10", "timezone": "Asia/Tokyo"}],
    ),
    History(
        "a day that begins again, in another week",
        [
            [("u", f"u{day}", day * DAY) for day in range(0, 12, 3)] + [("v", "v", 3 * DAY)],
            [("v", f"v{hour}", 4 * DAY + hour * HOUR) for hour in (0, 9)] + [("w", "w", 3 * DAY + 16 * HOUR)],
            [("w", f"w{day}", day * DAY) for day in (4, 9, 16, 30)],
        ],
        [
            {"timezone": "Asia/Tokyo"},
            {"valid_from": "2024-03-06", "timezone": "America/New_York", "week_start": "sunday"},
        ],
    ),
]


def _linked(tenant: str, *batches: str, **rules: str) -> History:
    """Each word is an event, an hour after the one before it."""
    hours = iter(range(1000))
    return History(
        tenant,
        [[(who, f"e{hour}", hour * HOUR) for who in batch.split() for hour in [next(hours)]] for batch in batches],
        [rules],
    )


OF_PERSONS = [
    _linked("a device is its user's, also before", "@d @d", "u@d", "@d v"),
    _linked("a device joins two users, and a third one parts them", "u@d v@d v", "u@e", "w@d @d u v"),
    _linked(
        "a chain grows together in the middle", "a@1 b@1 c@2 d@2 @2", "b@2 d@3", "a d @3", max_users_per_device="3"
    ),
    _linked("a chain that is too long falls apart", "a@1 b@1 b@2 c@2", "c@3 d@3 d@4 e@4 @3", "e@5 f@5 @5 @1"),
    _linked(
        "whoever signed in last", "@k u@k @k v@k @k", "w@k @k u@k @k", "x@k u@k @k y@k u@k", max_users_per_device="1"
    ),
    History(
        "a copy received earlier takes a link away",
        [
            [("u@d", "a", HOUR), ("v@d", "b", 2 * HOUR), ("@d", "c", 3 * HOUR)],
            [("v@e", "b", 0)],
            [("u@f", "a", -HOUR), ("@d", "d", 4 * HOUR)],
        ],
    ),
    History(
        "and makes a shared device one person's",
        [
            [("u@d", "a", HOUR), ("v@d", "b", 2 * HOUR), ("w@d", "c", 3 * HOUR), ("@d", "d", 4 * HOUR)],
            [("w@e", "c", -HOUR)],
            [("v", "b", -2 * HOUR), ("@d", "e", 9 * HOUR)],
        ],
    ),
    History(
        "a user is seen earlier on",
        [
            [("v@d", "a", 9 * HOUR), ("u@d", "b", 10 * HOUR)],
            [("u@d", "c", HOUR), ("@d", "d", 2 * HOUR)],
            [("v@e", "e", 0)],
        ],
    ),
]


def of_persons_at_random(number: int, dice: random.Random) -> History:
    """Users who come and go on devices that few or many share; any event in any batch, now and then twice."""
    users, devices = "abcdefgh"[: dice.randint(2, 8)], range(dice.randint(1, 6))
    batches: list[list[tuple[str, str, int]]] = [[] for _ in range(BATCHES)]
    for step in range(dice.randint(5, 24)):
        who = dice.choice(users)
        for batch in dice.choices(range(BATCHES), k=dice.choice([1, 1, 1, 2])):
            device = dice.choice(["", "@", *(f"@{each}" for each in devices)])
            seconds = dice.randrange(dice.choice([HOUR, 3 * DAY, 60 * DAY])) // 10 * 10 + users.index(who)
            named = device[1:] and dice.random() < 0.3
            batches[batch].append((device if named else who + device.rstrip("@"), f"e{step}", seconds))
    limits = {"max_users_per_device": str(dice.randint(1, 3)), "max_users_per_person": str(dice.randint(1, 4))}
    return History(f"persons {number}", batches, [{**limits, "timezone": dice.choice(ZONES)}])


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
    rules = {
        "session_timeout_minutes": str(timeout),
        "timezone": dice.choice(ZONES),
        "week_start": WEEKDAYS[number % 7],
    }
    return History(f"random {number}", batches, [rules])


def histories(seed: int) -> list[History]:
    dice = random.Random(seed)
    of_users = BY_HAND + [at_random(number, dice) for number in range(30)]
    return of_users + OF_PERSONS + [of_persons_at_random(number, dice) for number in range(20)]
