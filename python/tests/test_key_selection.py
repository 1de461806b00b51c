"""Which keys a selection answers with, and what it is charged for."""

import inspect
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import opendp.prelude as dp
import pytest

from quorum import key_selection, measurement, mechanisms, policy
from quorum.errors import QuorumError, Refused
from quorum.key_selection import KeyCount, select
from quorum.measurement import Plan
from quorum.metrics import MAX_CELLS_OF_METRIC
from tests import rendered
from tests.noise_audit import Array, least_mu
from tests.specs import DECLARED_SELECTION as DECLARED
from tests.specs import SELECTION as SPEC

L0 = SPEC.metrics[0].max_cells
PLAN = Plan.of(SPEC, SPEC.layout({}))
QUORUM = SPEC.quorum
BAR = QUORUM + math.ceil(5.6 * PLAN.atom_scale)
HUGE = 10**12
MONDAY = date(2026, 3, 2)


def counts(**users: int) -> list[KeyCount]:
    """Return keys that are of as many contributors as they can be."""
    return [KeyCount(key, number, number, 1) for key, number in users.items()]


def none(values: Sequence[int], _scale: float) -> list[int]:
    return list(values)


def huge(values: Sequence[int], _scale: float) -> list[int]:
    return [value + HUGE for value in values]


class TestGate:
    def test_no_noise_lifts_a_key_below_the_quorum(self) -> None:
        assert select(SPEC, PLAN, counts(few=QUORUM - 1, enough=QUORUM), huge) == ["enough"]

    def test_a_key_that_is_a_quorum_must_also_look_like_one(self) -> None:
        assert select(SPEC, PLAN, counts(few=QUORUM, nearly=BAR - 1, enough=BAR), none) == ["enough"]

    def test_each_key_gets_noise_of_the_charged_scale(self) -> None:
        calls: list[tuple[list[int], float]] = []

        def recorded(values: Sequence[int], scale: float) -> list[int]:
            calls.append((list(values), scale))
            return list(values)

        select(SPEC, PLAN, counts(a=1, b=BAR), recorded)
        assert calls == [([1, BAR], PLAN.atom_scale)]
        # a unit adds itself to L0 keys and may take another off L0 more
        assert PLAN.sensitivity == pytest.approx(math.sqrt(2 * L0))
        assert PLAN.atom_scale == pytest.approx(math.sqrt(2 * L0) / math.sqrt(2 * 0.005))

    def test_the_noise_is_real_unless_a_test_says_otherwise(self) -> None:
        many = [KeyCount(f"key_{n}", BAR, BAR, 1) for n in range(400)]
        assert 120 < len(select(SPEC, PLAN, many)) < 280, "about half of those at the bar pass"

    def test_of_too_many_the_most_used_are_kept(self) -> None:
        many = [KeyCount(f"key_{n:04}", BAR + n, BAR, 1) for n in range(MAX_CELLS_OF_METRIC + 5)]
        found = select(SPEC, PLAN, many, none)
        assert found == [f"key_{n:04}" for n in range(5, MAX_CELLS_OF_METRIC + 5)]

    @pytest.mark.parametrize(("contributors", "largest"), [(4, 10), (5, 11)])
    def test_a_key_that_breaks_its_guarantees_releases_nothing(self, contributors: int, largest: int) -> None:
        bad = KeyCount("bad", BAR, contributors, largest)
        with pytest.raises(QuorumError, match=r"^nothing is released: a key of page_keys breaks its guarantees$"):
            select(SPEC, PLAN, [*counts(good=BAR), bad], none)


GATE_BUGS: dict[str, tuple[tuple[str, str], list[str]]] = {
    "no exact half": (("x >= quorum and y >= bar", "y >= bar"), ["few", "enough"]),
    "no z": (("quorum + Fraction(float(spec.gate_z)) * Fraction(plan.atom_scale)", "quorum"), ["quorum", "enough"]),
}


@pytest.mark.parametrize("name", GATE_BUGS)
def test_a_bug_in_the_gate_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests above say of the sound gate does not hold of one with a bug."""
    (sound, bug), passed = GATE_BUGS[name]
    source = inspect.getsource(measurement.eligible_groups)
    assert source.count(sound) == 1
    scope = dict(vars(measurement))
    exec(source.replace(sound, bug), scope)  # noqa: S102  # our own code
    keys = {"few": (QUORUM - 1, HUGE), "quorum": (QUORUM, 0), "enough": (BAR, 0)}

    def drawn(values: Sequence[int], _scale: float) -> list[int]:
        return [value + extra for value, (_, extra) in zip(values, keys.values(), strict=True)]

    exact = counts(**{key: users for key, (users, _) in keys.items()})
    assert select(SPEC, PLAN, exact, drawn) == ["enough"]
    monkeypatch.setattr(key_selection, "eligible_groups", scope["eligible_groups"])
    assert select(SPEC, PLAN, exact, drawn) == sorted(passed)


def exact_tail(least: int, scale: float) -> float:
    """Return P(X >= least) for discrete Gaussian noise, summed up."""
    values = np.arange(-math.ceil(40 * scale), math.ceil(40 * scale) + 1, dtype=float)
    mass = np.exp(-(values**2) / (2 * scale**2))
    return float(mass[values >= least].sum() / mass.sum())


class TestCost:
    def test_the_gate_is_charged_for_each_key_whose_verdict_one_unit_can_change(self) -> None:
        one = exact_tail(math.ceil(5.6 * PLAN.atom_scale), PLAN.atom_scale)
        some = -math.expm1(2 * L0 * math.log1p(-one))
        assert some <= PLAN.delta_gate < 1.4 * some
        # planted: the charge of a gate over atoms, of which a unit is in one
        assert mechanisms.tail(5.6, PLAN.atom_scale) < some

    def test_more_keys_of_one_unit_need_a_stricter_gate(self) -> None:
        many = policy.resolve(DECLARED | {"metrics": [DECLARED["metrics"][0] | {"max_cells": 5}]}, {})
        with pytest.raises(Refused, match=r"release page_keys: delta is 1E-7, .* raise gate_z$"):
            Plan.of(many, many.layout({}))
        assert Plan.of(replace(many, gate_z=Decimal(6)), many.layout({})).delta_gate < 2e-8

    def test_opendps_own_threshold_passes_more_often_than_it_says(self) -> None:
        """Why `select` has a gate of its own: a value at the threshold passes, and its delta does not count that."""
        keys = dp.map_domain(dp.atom_domain(T=str), dp.atom_domain(T="i64"))
        moved = dp.l02inf_distance(dp.absolute_distance(T="f64"))
        threshold, scale = 8, 2.0
        at_the_bar = dp.m.make_gaussian_threshold(keys, moved, 1e-3, threshold)
        assert at_the_bar({"a": threshold - 1, "b": threshold}) == {"b": threshold}
        _, delta = dp.m.make_gaussian_threshold(keys, moved, scale, threshold).map((1, 1.0, 1.0))
        passes = exact_tail(threshold - 1, scale)  # of a user's own key, which counts 1
        assert delta < passes < mechanisms.tail((threshold - 1) / scale, scale)


class TestAudit:
    """Many selections over the two inputs that are furthest apart: who comes has L0 keys, whom it displaces others."""

    SPEC = replace(SPEC, rho_atoms=Decimal("0.05"))  # all that a week may cost, for the noise is least then
    PLAN = Plan.of(SPEC, SPEC.layout({}))
    COPIES, CALLS = 150, 20

    def drawn(self, plan: Plan, more: int) -> Array:
        """Return of each copy by how many more of the keys that come pass than of those that go."""
        bar = QUORUM + math.ceil(5.6 * plan.atom_scale)
        users = {"come": bar + more, "goes": bar + 1 - more}
        exact = [
            KeyCount(f"{copy} {way} {key}", count, count, 1)
            for copy in range(self.COPIES)
            for way, count in users.items()
            for key in range(L0)
        ]
        differences = []
        for _ in range(self.CALLS):
            found = Counter(tuple(key.split(" ")[:2]) for key in select(self.SPEC, plan, exact))
            differences += [found[str(n), "come"] - found[str(n), "goes"] for n in range(self.COPIES)]
        return np.array(differences, dtype=float)

    @pytest.mark.parametrize(
        ("moved", "is_found"),
        [(None, False), (1.0, True)],
        ids=["sound", "planted bug: noise for one key"],
    )
    def test_what_passes_gives_away_no_more_than_is_charged(self, moved: float | None, is_found: bool) -> None:
        scale = mechanisms.gaussian_scale(moved, self.SPEC.rho) if moved else self.PLAN.atom_scale
        plan = replace(self.PLAN, atom_scale=scale)
        found = least_mu(self.drawn(plan, 0), self.drawn(plan, 1), 0.5)
        assert (found > math.sqrt(2 * float(self.SPEC.rho))) is is_found


# Of each world all users fill the key; a tenant is cut to ten, and four of them are no quorum.
CROWDS = {
    "of_one": [100_000],
    "of_four": [1_000] * 4,
    "of_an_owner_and_three": [1_000] * 6,
    "of_five": [10] * 5,
    "of_many": [1] * 60,
}


def contributed() -> Iterator[dict[str, Any]]:
    for key, tenants in CROWDS.items():
        for number, users in enumerate(tenants):
            for user in range(users):
                yield {"tenant_key": f"{key} {number}", "unit_key": f"user {user}", "key": key}


@pytest.mark.parametrize("is_bounded", [True, False], ids=["sound", "planted bug: no sample"])
def test_a_key_of_fewer_contributors_never_comes_out(is_bounded: bool) -> None:
    query = rendered.sql("{{ key_counts('page_keys', 'contributions') }}")
    sample = "where ranked.place <= periods.tenant_cap"
    assert query.count(sample) == 1
    period = {"release": "page_keys", "period_start": MONDAY}
    tenants = [(key, number) for key, crowd in CROWDS.items() for number in range(len(crowd))]
    rows = rendered.fetched(
        query if is_bounded else query.replace(sample, ""),
        {
            "release_periods": [period | {"tenant_cap": SPEC.tenant_cap}],
            "release_blocks": [period | {"max_cells": L0}],
            "cohort_tenants": [
                {
                    "period_start": MONDAY,
                    "tenant_key": f"{key} {number}",
                    "contributor_key": "owner" if key == "of_an_owner_and_three" and number < 3 else f"{key} {number}",
                }
                for key, number in tenants
            ],
            "contributions": [period | row for row in contributed()],
        },
    )
    found = [KeyCount(**{name: row[name] for name in ("key", "users", "contributors", "largest")}) for row in rows]
    if is_bounded:
        assert select(SPEC, PLAN, found, huge) == ["of_five", "of_many"]
    else:
        with pytest.raises(QuorumError, match="a key of page_keys breaks its guarantees"):
            select(SPEC, PLAN, found, huge)
