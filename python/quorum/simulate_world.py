"""Who there is in the made-up SaaS behind `quorum simulate`: its tenants and their users."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quorum.errors import BadInput

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Tenant = dict[str, str]  # a row of the registry

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

INDUSTRIES = ("retail", "media", "fintech")
REGIONS = ("eu", "us")
SEGMENTS = len(INDUSTRIES) * len(REGIONS)
PLANS = ("starter", "pro", "enterprise")
TIMEZONES = {
    "eu": ("Europe/Berlin", "Europe/Lisbon", "Europe/Helsinki"),
    "us": ("America/New_York", "America/Los_Angeles", "America/Phoenix", "America/St_Johns"),
}
PLACES = {
    "eu": (("DE", "Leipzig"), ("FR", "Lyon"), ("PT", "Porto")),
    "us": (("US", "Austin"), ("CA", "Halifax")),
}
WEEK_STARTS = ("monday", "sunday", "monday", "saturday", "wednesday")
EVENT_NAMES = ("page_view", "feature_used", "signup", "onboarding_step", "checkout", "purchase")
LIMITS = {"tenants": (1, 10_000), "users": (1, 1_000_000), "days": (1, 1_000), "seed": (0, 2**32 - 1)}
STEMS = ("acme", "globex", "initech", "umbra", "hooli", "vandelay", "wonka", "tyrell")
FIRST_NAMES = ("Mia", "Noah", "José", "Aylin", "Emma", "Liam", "Zoë", "Ravi", "Ines", "Oskar", "Lucía")
LAST_NAMES = ("Keller", "Núñez", "Okafor", "Lindqvist", "Moreau", "Tanaka", "Silva", "Novak", "Brandt")


@dataclass(frozen=True)
class Shape:
    """How big a world to simulate, and which one."""

    tenants: int = 150
    users: int = 1500  # weekly active users of the largest tenant, about
    days: int = 28
    last_day: date = date(2026, 3, 29)
    seed: int = 7
    defects: bool = True  # duplicates and broken rows; late rows are no defect

    def __post_init__(self) -> None:
        for field, (least, most) in LIMITS.items():
            value = getattr(self, field)
            if not least <= value <= most:
                raise BadInput(f"{field} must be between {least} and {most}, not {value}")
        if not 2000 <= self.last_day.year < 2099:
            raise BadInput(f"last_day must be in the years 2000 to 2098, not {self.last_day}")

    @property
    def first_day(self) -> date:
        return self.last_day - timedelta(days=self.days - 1)

    @property
    def middle(self) -> date:
        """The day from which what changes has changed."""
        return self.first_day + timedelta(days=self.days // 2)


@dataclass(frozen=True)
class Users:
    """One element per user, in order of tenant."""

    tenant: Ints
    number: Ints  # within the tenant
    person: Ints  # two users with one person share their raw ids
    desktop: Ints  # the person whose desktop they sit at, mostly their own
    signed_in: Flags  # the others are known by device only
    renamed: Flags  # have another user id in the second half of the time
    at_kiosk: Flags  # use the tenant's kiosk too
    is_robot: Flags
    is_declared: Flags  # robots that say so


def deal_tenants(shape: Shape) -> list[Tenant]:
    """List the registry's rows, largest tenant first; neighbours in size are dealt to different segments."""
    tenants = []
    for rank in range(shape.tenants):
        lap, segment = divmod(rank, SEGMENTS)
        region = REGIONS[segment % len(REGIONS)]
        tenants.append(
            {
                "tenant_id": f"{STEMS[rank % len(STEMS)]}-{rank + 1:03d}",
                "valid_from": str(shape.first_day - timedelta(days=365)),
                "industry": INDUSTRIES[segment // len(REGIONS)],
                "region": region,
                "size_band": _size_band(rank / shape.tenants),
                "plan": PLANS[lap % len(PLANS)],
                # The two tenants of an owner are in one segment, where they would otherwise count twice.
                "owner_group": f"holding-{rank // 31 + 1}" if rank % 31 in (10, 16) else "",
                "timezone": TIMEZONES[region][lap % len(TIMEZONES[region])],
                "week_start": WEEK_STARTS[rank % len(WEEK_STARTS)],
                "session_timeout_minutes": "30",
                "benchmark_consent": "false" if rank % 19 == 13 else "true",
                "retention_days": "365",
                "freshness_sla_hours": "24",
                "daily_event_quota": "1000000",
                "publish_bundle": "true",
            }
        )
    return tenants


def is_larger(shape: Shape, rank: Ints) -> Flags:
    return rank * 3 < shape.tenants


def _size_band(quantile: float) -> str:
    if quantile < 0.1:
        return "large"
    return "medium" if quantile < 0.5 else "small"


def register_users(shape: Shape, rng: np.random.Generator) -> Users:
    weekly_active = np.maximum(8, np.rint(shape.users / np.arange(1, shape.tenants + 1) ** 0.8)).astype(int)
    registered = 2 * weekly_active  # about half of them are active in a week
    first = registered.cumsum() - registered
    tenant = np.arange(shape.tenants).repeat(registered)
    number = np.arange(len(tenant)) - first[tenant]
    # Some people use the next larger tenant too, and bring their raw ids along.
    guest = (tenant % 2 == 1) & (number % 50 == 3)
    person = first[tenant - guest] + number
    signed_in = rng.random(len(tenant)) > 0.06
    borrows = signed_in & (number % 25 == 12)
    return Users(
        tenant=tenant,
        number=number,
        person=person,
        desktop=person[np.arange(len(tenant)) - borrows],
        signed_in=signed_in,
        renamed=signed_in & (number % 25 == 8),
        at_kiosk=signed_in & is_larger(shape, tenant) & (number % 5 == 4),
        is_robot=np.zeros(len(tenant), dtype=bool),
        is_declared=np.zeros(len(tenant), dtype=bool),
    )


def with_robots(users: Users) -> Users:
    """Add two to the largest tenant: one that says what it is, and one with a user id like anybody's."""
    count, of_largest = len(users.tenant), int((users.tenant == 0).sum())
    ids = np.array([count, count + 1])
    some = np.array([True, False])
    none = np.zeros(2, dtype=bool)
    robots = Users(
        tenant=np.zeros(2, dtype=int),
        number=np.array([of_largest, of_largest + 1]),
        person=ids,
        desktop=ids,
        signed_in=~some,
        renamed=none,
        at_kiosk=none,
        is_robot=~none,
        is_declared=some,
    )
    return Users(
        *(np.concatenate([getattr(users, field.name), getattr(robots, field.name)]) for field in fields(Users))
    )


def describe_users(shape: Shape, users: Users, tenants: list[Tenant]) -> pa.Table:
    names = [
        f"{FIRST_NAMES[person % len(FIRST_NAMES)]} {LAST_NAMES[person // len(FIRST_NAMES) % len(LAST_NAMES)]}"
        for person in users.person
    ]
    homes = [tenants[tenant] for tenant in users.tenant]
    places = [PLACES[home["region"]] for home in homes]
    country, city = zip(
        *(near[person % len(near)] for near, person in zip(places, users.person, strict=True)), strict=True
    )
    return pa.table(
        {
            "user": np.arange(len(names)),
            "tenant_id": [home["tenant_id"] for home in homes],
            "plan": [home["plan"] for home in homes],
            "number": users.number,
            "person": users.person,
            "desktop": users.desktop,
            "signed_in": users.signed_in,
            "is_declared": users.is_declared,
            "is_larger": is_larger(shape, users.tenant),
            "name": names,
            "country": country,
            "city": city,
        }
    )
