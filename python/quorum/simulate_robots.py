"""What robots do in a simulated world: one says so in its user agent, one is only busy as no human is."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa

from quorum.simulate_world import DAY, HOUR, MINUTE, Shape, Users


def events_per_hour(shape: Shape) -> int:
    """Return how busy the undeclared robot is: by a multiple more than any human of a world of this size."""
    return max(4, shape.users // 12)


def busy_days(shape: Shape) -> int:
    return min(shape.days, 2 + shape.days // 30)


def draw_robots(shape: Shape, rng: np.random.Generator, users: Users) -> pa.Table:
    """Return the events of the two robots, in the form of those of the others."""
    declared, undeclared = len(users.tenant), len(users.tenant) + 1
    first = DAY * (shape.first_day - date(1970, 1, 1)).days

    # a visit a night, a page a minute
    nights = np.arange(shape.days).repeat(5)
    visits = first + nights * DAY + 3 * HOUR + np.tile(np.arange(5), shape.days) * MINUTE

    # never a pause as long as a session's timeout: it is a single session, over days
    count = busy_days(shape) * 24 * events_per_hour(shape)
    step = HOUR // events_per_hour(shape)
    calls = first + (shape.days - busy_days(shape)) * DAY + np.arange(count) * step + rng.integers(0, step // 2, count)

    occurred = np.concatenate([visits, calls])
    is_call = np.arange(len(occurred)) >= len(visits)
    never = np.zeros(len(occurred), dtype=bool)
    return pa.table(
        {
            "user": np.where(is_call, undeclared, declared),
            "session": np.concatenate([-2 - nights, np.full(count, -1)]),
            "on_phone": never,
            "on_kiosk": never,
            "renamed": never,
            "known": is_call,
            "event_name": np.where(is_call, "feature_used", "page_view"),
            "feature": pa.array(np.array([None, "api"])[is_call.astype(int)], pa.string()),
            "variant": pa.nulls(len(occurred), pa.string()),
            "occurred": occurred,
            "received": occurred + 300,
            "dice": rng.integers(0, 2**40, len(occurred)),
        }
    )
