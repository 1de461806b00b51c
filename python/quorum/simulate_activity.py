"""What the users of a simulated world do: active weeks, sessions in them, events in those.

Arrays of one length describe one kind of thing; `user`, `week` and `session` are positions in the arrays of
that kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from quorum.simulate_experiments import (
    EFFECT,
    NO_VARIANT,
    TREATMENT,
    VARIANTS,
    deal_variants,
    experiment_starts,
    seen_variants,
)
from quorum.simulate_identity import appear
from quorum.simulate_world import DAY, EVENT_NAMES, HOUR, MINUTE, SECOND, SEGMENTS, Flags, Ints, Shape, Tenant, Users

# Share of the first segment's active users who adopt a feature in a week. Each further segment has the same
# shares, shifted by three features more.
ADOPTION = {
    "search": 0.60,
    "dashboard": 0.30,
    "export": 0.45,
    "share": 0.12,
    "comment": 0.30,
    "upload": 0.22,
    "invite": 0.52,
    "api": 0.08,
    "automate": 0.36,
    "report": 0.30,
}
FEATURES = tuple(ADOPTION)
DECLINING = FEATURES.index("export")

PAGE_VIEW, FEATURE_USED, SIGNUP, ONBOARDING_STEP, CHECKOUT, PURCHASE = range(len(EVENT_NAMES))
# What a session does besides using features. It stops after two to five steps, so that funnels narrow.
BROWSING, SHOPPING, JOINING = range(3)
SCRIPTS = np.array(
    [
        [PAGE_VIEW, PAGE_VIEW, PAGE_VIEW, PAGE_VIEW, PAGE_VIEW],
        [PAGE_VIEW, PAGE_VIEW, CHECKOUT, PURCHASE, PAGE_VIEW],
        [PAGE_VIEW, SIGNUP, ONBOARDING_STEP, CHECKOUT, PURCHASE],
    ]
)

WEEKDAY_WEIGHT = np.array([1.0, 1.0, 1.0, 1.0, 0.9, 0.35, 0.3])
# A day has a morning session, an evening session or both, by the tenant's clock. No session has more than
# 25 events, so one that starts before ten is over by 15:12, well over half an hour before the next.
SESSION_START = np.array([7 * HOUR, 16 * HOUR])
SESSION_START_SPREAD = 3 * HOUR
LONGEST_GAP = 13 * MINUTE


@dataclass(frozen=True)
class _Weeks:
    """The weeks in which a user is active, in order of user."""

    user: Ints
    calendar: Ints  # weeks since the first Monday
    joins: Flags


@dataclass(frozen=True)
class _Sessions:
    """In order of week, and of time within it."""

    week: Ints
    user: Ints
    start: Ints
    script: Ints
    variant: Ints  # that the user sees


def draw_events(shape: Shape, rng: np.random.Generator, tenants: list[Tenant], users: Users) -> pa.Table:
    """Return the events that happen on the shape's days (UTC), each session's in order of time."""
    weeks = _draw_weeks(shape, rng, users)
    sessions = _draw_sessions(shape, rng, tenants, users, weeks)
    session, name, feature = _draw_steps(shape, rng, users, weeks, sessions)
    seen = appear(
        rng, users, sessions.user, sessions.start >= _milliseconds(shape.middle), joins=sessions.script == JOINING
    )

    gap = np.minimum(rng.exponential(150 * SECOND, len(session)).astype(int), LONGEST_GAP)
    elapsed = gap.cumsum()
    first = session.searchsorted(session)
    occurred = sessions.start[session] + elapsed - elapsed[first]
    begin, end = _milliseconds(shape.first_day), _milliseconds(shape.last_day) + DAY

    # One row in a hundred comes days late, unless that would be after the last day.
    delay = np.where(rng.random(len(session)) < 0.01, rng.integers(DAY, 5 * DAY, len(session)), 0)
    delay += rng.integers(200, 8 * SECOND, len(session))
    received = occurred + np.where(occurred + delay < end, delay, 0)

    signups = (name == SIGNUP).cumsum()
    has_signed_up = signups > (signups - (name == SIGNUP))[first]
    return pa.table(
        {
            "user": sessions.user[session],
            "session": session,
            "on_phone": seen.on_phone[session],
            "on_kiosk": seen.on_kiosk[session],
            "renamed": seen.renamed[session],
            "known": users.signed_in[sessions.user][session] & (has_signed_up | ~seen.signs_up[session]),
            "event_name": np.array(EVENT_NAMES)[name],
            "feature": pa.array(np.array([*FEATURES, None])[feature], pa.string()),
            "variant": pa.array(
                np.array([None, *VARIANTS])[np.where(name == PAGE_VIEW, sessions.variant[session], NO_VARIANT)],
                pa.string(),
            ),
            "occurred": occurred,
            "received": received,
            "dice": rng.integers(0, 2**40, len(session)),  # decides what else a row holds
        }
    ).filter((occurred >= begin) & (occurred < end))


def _draw_weeks(shape: Shape, rng: np.random.Generator, users: Users) -> _Weeks:
    joined = rng.integers(-26, _week_count(shape), len(users.tenant))  # since half a year, and still
    age = np.arange(_week_count(shape)) - joined[:, None]
    retention = 0.45 + 0.55 * np.exp(-age / 3)  # from all of a cohort down to less than half
    user, calendar = ((age >= 0) & (rng.random(age.shape) < retention)).nonzero()
    return _Weeks(user, calendar, joins=calendar == joined[user])


def _draw_sessions(
    shape: Shape, rng: np.random.Generator, tenants: list[Tenant], users: Users, weeks: _Weeks
) -> _Sessions:
    # One to five days of the week, on each of them once or twice.
    patience = rng.exponential(size=(len(weeks.user), 7)) / WEEKDAY_WEIGHT
    rank_of_day = patience.argsort(axis=1).argsort(axis=1)
    week, weekday = (rank_of_day < rng.integers(1, 6, (len(weeks.user), 1))).nonzero()
    twice = rng.random((len(week), 1)) < 0.35
    visit, slot = (twice | np.eye(2, dtype=bool)[rng.integers(0, 2, len(week))]).nonzero()
    week, day = week[visit], 7 * weeks.calendar[week[visit]] + weekday[visit]
    user = weeks.user[week]

    local_start = day * DAY + SESSION_START[slot] + rng.integers(0, SESSION_START_SPREAD, len(day))
    utc_offset = _utc_offsets(shape, tenants)[users.tenant[user], day]
    start = _milliseconds(_first_monday(shape)) + local_start - utc_offset

    script = np.where(rng.random(len(start)) < 0.1, SHOPPING, BROWSING)
    script[week.searchsorted(weeks.joins.nonzero()[0])] = JOINING
    script[~users.signed_in[user]] = BROWSING

    variant = seen_variants(deal_variants(shape, rng, users), users, user, odd_day=day % 2 == 1)
    runs = start >= _milliseconds(experiment_starts(shape))
    return _Sessions(week, user, start, script, np.where(runs, variant, NO_VARIANT))


def _draw_steps(
    shape: Shape, rng: np.random.Generator, users: Users, weeks: _Weeks, sessions: _Sessions
) -> tuple[Ints, Ints, Ints]:
    """Return session, name and feature (-1 for none) of each event, in order of session and time."""
    length = rng.integers(2, 6, len(sessions.start))
    stops_before_buying = SCRIPTS[sessions.script, length - 1] == CHECKOUT
    length += stops_before_buying & (sessions.variant == TREATMENT) & (rng.random(len(length)) < EFFECT)
    session = np.arange(len(length)).repeat(length)
    step = np.arange(len(session)) - (length.cumsum() - length)[session]
    name = SCRIPTS[sessions.script[session], step]

    # Who adopts a feature in a week uses it once or twice, in any sessions of that week.
    share = _adoption(shape, rng)[users.tenant[weeks.user], weeks.calendar]
    week, feature = (rng.random(share.shape) < share).nonzero()
    uses = rng.integers(1, 3, len(week))
    week, feature = week.repeat(uses), feature.repeat(uses)
    choices = np.bincount(sessions.week, minlength=len(weeks.user))
    feature_session = sessions.week.searchsorted(week) + rng.integers(0, choices[week])

    moment = np.concatenate([step, rng.uniform(0, 5, len(week))])
    session = np.concatenate([session, feature_session])
    name = np.concatenate([name, np.full(len(week), FEATURE_USED)])
    feature = np.concatenate([np.full(len(step), -1), feature])
    order = np.lexsort((moment, session))
    return session[order], name[order], feature[order]


def _adoption(shape: Shape, rng: np.random.Generator) -> NDArray[np.float64]:
    """Share of active users who adopt, by tenant, week and feature."""
    by_segment = [np.roll(list(ADOPTION.values()), -3 * segment) for segment in range(SEGMENTS)]
    base: NDArray[np.float64] = np.array(by_segment)[np.arange(shape.tenants) % SEGMENTS, None]
    trend = np.ones((_week_count(shape), len(FEATURES)))
    trend[:, DECLINING] = 0.95 ** np.arange(_week_count(shape))
    return base * trend * rng.lognormal(0, 0.1, (shape.tenants, 1, 1))


def _utc_offsets(shape: Shape, tenants: list[Tenant]) -> Ints:
    """How far each tenant's clock is ahead of UTC, by day; clocks change at night, when no session starts."""
    noon = datetime.combine(_first_monday(shape), time(12), UTC)
    noons = [noon + timedelta(days=day) for day in range(7 * _week_count(shape))]
    offsets = {
        timezone: [
            (noon.astimezone(ZoneInfo(timezone)).replace(tzinfo=UTC) - noon) // timedelta(milliseconds=1)
            for noon in noons
        ]
        for timezone in {tenant["timezone"] for tenant in tenants}
    }
    return np.array([offsets[tenant["timezone"]] for tenant in tenants])


def _first_monday(shape: Shape) -> date:
    return shape.first_day - timedelta(days=shape.first_day.weekday())


def _week_count(shape: Shape) -> int:
    return (shape.last_day - _first_monday(shape)).days // 7 + 1


def _milliseconds(day: date) -> int:
    return round(datetime.combine(day, time(), UTC).timestamp()) * SECOND
