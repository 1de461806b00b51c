"""The experiment that runs in some tenants of a simulated world: who sees which variant, and what comes of it."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from quorum.simulate_world import Flags, Ints, Shape, Users

EXPERIMENT = "checkout_button"
VARIANTS = ("control", "treatment")
NO_VARIANT, CONTROL, TREATMENT = range(3)

# Of the treated who check out and would stop there, so many buy after all.
EFFECT = 0.6
# The share treated where the variants are dealt as declared, and where they are not.
EVEN, UNEVEN = 0.5, 0.1


def has_experiment(rank: int) -> bool:
    return rank % 3 == 0 or deals_unevenly(rank)


def deals_unevenly(rank: int) -> bool:
    """Say whether a tenant deals the variants otherwise than it declares."""
    return rank % 12 == 1


def experiment_starts(shape: Shape) -> date:
    return shape.first_day + timedelta(days=shape.days // 4)


def deal_variants(shape: Shape, rng: np.random.Generator, users: Users) -> Ints:
    """Return the variant of each user, were the experiment to run already."""
    shares: NDArray[np.float64] = np.array([UNEVEN if deals_unevenly(rank) else EVEN for rank in range(shape.tenants)])
    running: Flags = np.array([has_experiment(rank) for rank in range(shape.tenants)])
    treated = rng.random(len(users.tenant)) < shares[users.tenant]
    return np.where(running[users.tenant], np.where(treated, TREATMENT, CONTROL), NO_VARIANT)


def seen_variants(variants: Ints, users: Users, user: Ints, odd_day: Flags) -> Ints:
    """Return what a user sees in a session; one in forty sees the other variant on every second day."""
    seen = variants[user]
    crosses_over = (users.number[user] % 40 == 20) & odd_day & (seen != NO_VARIANT)
    return np.where(crosses_over, CONTROL + TREATMENT - seen, seen)
