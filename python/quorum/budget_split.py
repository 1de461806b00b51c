"""How the budget of a population would be split by the errors that its releases want. Nothing here is spent.

A release that says ``wanted_users`` wants its figures within the tolerance from so many users on. Over u users and at
rho, the widest half interval is c / (u * sqrt(rho)) of it, with c from the bound and the metrics alone. So what makes
the sum of squares over all releases and levels the least, for a given sum of rho, is rho in proportion to c / u.
"""

import math
from collections.abc import Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal

from quorum import figures
from quorum.bounding import Layout
from quorum.policy import ATOM, Spec

TIMES_A_WEEK = {"day": 7, "week": 1}
Split = dict[str, dict[str, Decimal]]  # rho by release and level


def of_a_week(specs: Sequence[Spec], key_sets: Mapping[str, Sequence[str]], limit: Decimal) -> Split | None:
    """Return the rho of each level of each release that together cost ``limit`` in a week.

    None where a release does not say what it wants, or has a figure whose error users do not tell.
    """
    if not all(spec.wanted_users for spec in specs):
        return None
    roots = {}
    for spec in specs:
        layout = spec.layout(key_sets)
        precision = None if layout.is_empty else users_at_one(spec, layout)
        if precision is None:
            return None
        for level in (ATOM, *spec.levels):
            # Lagrange: the sum of root**2 / rho is the least where rho is root over the root of its price
            roots[spec.name, level] = precision / spec.wanted_users[level], math.sqrt(TIMES_A_WEEK[spec.period])
    whole = sum(root * price for root, price in roots.values())
    found: Split = {spec.name: {} for spec in specs}
    for (name, level), (root, price) in roots.items():
        part = limit * Decimal(root / price / whole)
        found[name][level] = part.quantize(Decimal("1e-6"), rounding=ROUND_FLOOR)
    return found


def users_at_one(spec: Spec, layout: Layout) -> float | None:
    """Return from how many users on each figure of a release would be within the tolerance at rho 1."""
    scale = layout.sensitivity / math.sqrt(2)
    needed = [figures.precise_from(metric, layout, scale, float(spec.tolerance_points)) for metric in spec.metrics]
    return max((users for users in needed if users is not None), default=None)
