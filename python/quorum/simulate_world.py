"""Who there is in the made-up SaaS behind `quorum simulate`: its tenants and their users."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quorum.errors import BadInput

Ints = NDArray[np.int64]
Tenant = dict[str, str]  # a row of the registry

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


@dataclass(frozen=True)
class Users:
    """One element per user, in order of tenant."""

    tenant: Ints
    number: Ints  # within the tenant
    person: Ints  # two users with one person share their raw ids
    signed_in: NDArray[np.bool_]  # the others are known by device only


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
                "week_start": "monday",
                "session_timeout_minutes": "30",
                "benchmark_consent": "false" if rank % 19 == 13 else "true",
                "retention_days": "365",
                "freshness_sla_hours": "24",
                "daily_event_quota": "1000000",
                "publish_bundle": "true",
            }
        )
    return tenants


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
    return Users(
        tenant=tenant,
        number=number,
        person=first[tenant - guest] + number,
        signed_in=rng.random(len(tenant)) > 0.06,
    )


def describe_users(users: Users, tenants: list[Tenant]) -> pa.Table:
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
            "timezone": [home["timezone"] for home in homes],
            "number": users.number,
            "person": users.person,
            "signed_in": users.signed_in,
            "name": names,
            "country": country,
            "city": city,
        }
    )
