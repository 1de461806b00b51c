"""Answers of the release's own code, drawn again and again over neighbours: they give away what is charged, no more."""

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from decimal import Decimal
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from quorum import measurement, mechanisms
from quorum.bounding import Layout
from quorum.measurement import Cells, Cohort, Group, Noise, Plan, measure
from quorum.metrics import Metric
from quorum.policy import ATOM
from tests import rendered
from tests.measured_world import SPEC as OF_EACH_KIND
from tests.measured_world import all_pass, rescaled
from tests.noise_audit import Array, Vector, best_statistic, copies, draws, epsilon_of, least_mu

TEST = 40_000
SOAK = 200_000
CAP = 50
BUG = 1.25

# all that a week may cost, for the noise is least then
SPEC = replace(OF_EACH_KIND, metrics=(Metric("spent", "sum", "cents", high=20),))
LAYOUT = SPEC.layout({})
PLAN = Plan.of(SPEC, LAYOUT)
ATOMS_ONLY = replace(SPEC, rho_atoms=Decimal("0.0499"), rho_parents=Decimal("0.0001"))

samples = pytest.mark.parametrize("number", [TEST, pytest.param(SOAK, marks=pytest.mark.soak)])


def vectors(layout: Layout, value: int, bounded_cells: str) -> tuple[Vector, Vector]:
    """Return what SQL makes of ten contributors: the vector without a user that spent ``value``, and with it."""
    users = [
        {"period_start": 1, "tenant_key": f"t{tenant}", "unit_key": f"u{user}", "segment": None, "key": None}
        | {"metric": "spent", "value": 20 if user % 2 else 0}
        for tenant in range(10)
        for user in range(CAP - 10)
    ]
    [block] = layout.blocks
    about = {"release": "r", "period_start": 1}
    tables: dict[str, list[dict[str, Any]]] = {
        "release_periods": [about | {"tenant_cap": CAP, "count_scale": layout.count_scale}],
        "release_blocks": [
            about
            | {
                name: getattr(block, name)
                for name in ("metric", "bound", "low", "high", "max_cells", "scale", "centre")
            }
        ],
        "release_cells": [about | {"metric": "spent", "key": "", "position": 0, "lower_edge": 0, "upper_edge": 0}],
        "release_segments": [{"release": "r", "segment": "s"}],
        "cohort_atoms": [{"period_start": 1, "cohort_key": "x"}],
        "cohort_tenants": [
            {"period_start": 1, "cohort_key": "x", "tenant_key": f"t{n}", "contributor_key": f"t{n}"} for n in range(10)
        ],
    }
    more = [users[0] | {"unit_key": "more", "value": value}]
    found = []
    for units in (users, users + more):
        contributions = [row | {"segment": "s", "key": ""} for row in units]
        rows = rendered.fetched(bounded_cells, tables | {"contributions": contributions})
        cells = {row["metric"]: row["value"] for row in rows}
        found.append((cells["active_users"], cells["spent"]))
    return found[0], found[1]


BOUNDED_CELLS = rendered.sql("{{ bounded_cells('r', 'contributions') }}")
WORST = 20  # the greatest value that is not clamped
BASE, NEIGHBOUR = vectors(LAYOUT, WORST, BOUNDED_CELLS)


def test_the_neighbours_are_as_far_apart_as_any_may_be() -> None:
    assert 0.999 * PLAN.sensitivity < math.dist(BASE, NEIGHBOUR) <= PLAN.sensitivity
    assert vectors(LAYOUT, 10**6, BOUNDED_CELLS) == (BASE, NEIGHBOUR), "more than the worst is clamped"


@pytest.mark.parametrize("number", [TEST // 2, pytest.param(SOAK, marks=pytest.mark.soak)])
def test_a_whole_answer_gives_away_what_is_charged(number: int) -> None:
    """Atoms and both levels of parents together, by the best test that there is."""
    scales = (*PLAN.scales.values(),)
    found = [
        best_statistic(draws(SPEC, PLAN, vector, number, SPEC.levels), BASE, NEIGHBOUR, scales)
        for vector in (BASE, NEIGHBOUR)
    ]
    claimed = math.sqrt(2 * SPEC.rho)
    least = least_mu(found[0], found[1], claimed / 2)
    # near, or the audit would not see much
    assert claimed / 1.5 < least < claimed
    assert epsilon_of(least, float(SPEC.delta)) < mechanisms.epsilon(SPEC.rho, float(SPEC.delta))


def atoms_give_away(plan: Plan, base: Vector, neighbour: Vector, number: int) -> bool:
    """Return whether atoms alone give away more than is charged for them."""
    noisy = [
        best_statistic(draws(ATOMS_ONLY, plan, vector, number), base, neighbour, [plan.atom_scale])
        for vector in (base, neighbour)
    ]
    claimed = math.sqrt(2 * ATOMS_ONLY.rho_atoms)
    return least_mu(noisy[0], noisy[1], math.dist(base, neighbour) / plan.atom_scale / 2) > claimed


def sensitivity_too_small(monkeypatch: pytest.MonkeyPatch) -> Plan:
    sound = Layout.sensitivity.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(Layout, "sensitivity", property(lambda layout: sound(layout) / BUG))
    return Plan.of(ATOMS_ONLY, LAYOUT)


def scale_too_small(_monkeypatch: pytest.MonkeyPatch) -> Plan:
    return rescaled(Plan.of(ATOMS_ONLY, LAYOUT), 1 / BUG)


def rho_too_large(_monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Give the noise a rho that the ledger never hears of."""
    plan = Plan.of(ATOMS_ONLY, LAYOUT)
    unheard_of = ATOMS_ONLY.rho_atoms * Decimal(BUG) ** 2
    return replace(plan, atom_scale=mechanisms.gaussian_scale(plan.sensitivity, unheard_of))


@samples
@pytest.mark.parametrize("plant", [sensitivity_too_small, scale_too_small, rho_too_large])
def test_noise_for_a_bound_of_four_fifths_is_found(
    plant: Callable[[pytest.MonkeyPatch], Plan], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert atoms_give_away(plant(monkeypatch), BASE, NEIGHBOUR, number)


@samples
def test_a_clamp_of_which_a_copy_is_summed_is_found(number: int) -> None:
    """The planted bug sums what came in; a value of 1.4 times the bound then moves the vector 1.25 times as far."""
    clamp = "least(greatest(value, low), high)"
    assert BOUNDED_CELLS.count(clamp) == 1
    base, neighbour = vectors(LAYOUT, 28, BOUNDED_CELLS.replace(clamp, "value"))
    assert math.dist(base, neighbour) / PLAN.sensitivity == pytest.approx(BUG, rel=0.02)
    assert atoms_give_away(Plan.of(ATOMS_ONLY, LAYOUT), base, neighbour, number)


class TestGate:
    """Whether an atom is shown is published, and may give away delta_gate and no more."""

    QUORUM = SPEC.quorum * PLAN.count_scale

    def shown(self, count: int, number: int) -> float:
        cells = Cells(
            tuple(Cohort(f"a{n}", ATOM, "i", "r", "s") for n in range(number)),
            {},
            (None,),
            {Group(f"a{n}", None): (count, 0) for n in range(number)},
        )
        return len(measure(SPEC, PLAN, cells)[0]) / number

    def test_the_last_user_of_a_quorum_does_not_show(self) -> None:
        # delta_gate is one in a hundred million: seen once here, it would be far more
        assert [self.shown(self.QUORUM - 1 + more, 10_000) for more in range(2)] == [0, 0]

    @pytest.mark.parametrize(
        "lax",
        [
            lambda _spec, _plan, exact, _noisy: [x >= TestGate.QUORUM for x in exact],
            lambda _spec, _plan, exact, noisy: [min(xy) >= TestGate.QUORUM for xy in zip(exact, noisy, strict=True)],
            lambda _spec, _plan, exact, _noisy: [True] * len(exact),
        ],
        ids=["exact alone", "without a margin", "skipped"],
    )
    def test_a_gate_that_is_skipped_is_found(
        self, lax: Callable[..., list[bool]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(measurement, "eligible_groups", lax)
        assert max(self.shown(self.QUORUM - 1 + more, 2_000) for more in range(2)) > 0.4


class TestParents:
    """A parent less its atoms says nothing of an atom that is no quorum, whoever is in it."""

    @staticmethod
    def rest(failing: Vector, number: int) -> Array:
        """Return the noisy count of many parents less that of their one eligible atom."""
        atoms = [Cohort(f"{kind}{n}", ATOM, str(n), "r", kind) for n in range(number) for kind in "ef"]
        pairs = zip(atoms[::2], atoms[1::2], strict=True)
        cells = Cells(
            tuple(atoms),
            {Cohort(f"p{n}", "industry", str(n), "*", "*"): frozenset(a.key for a in ab) for n, ab in enumerate(pairs)},
            (None,),
            {Group(atom.key, None): tuple(BASE if atom.size_band == "e" else failing) for atom in atoms},
        )
        _, cohorts = measure(SPEC, PLAN, cells)
        noisy = {cohort["key"]: cohort["noisy"] for cohort in cohorts if cohort["noisy"]}
        return np.array([noisy[f"p{n}"][0] - noisy[f"e{n}"][0] for n in range(number)], dtype=float)

    NEARLY = ((SPEC.quorum - 1) * LAYOUT.count_scale, 0)

    @pytest.mark.parametrize(
        ("gate", "found"), [(nullcontext, False), (all_pass, True)], ids=["eligible atoms", "planted bug: all atoms"]
    )
    def test_who_is_no_quorum_is_in_no_parent(self, gate: Callable[[], Any], found: bool) -> None:
        with gate():
            empty, full = (self.rest(failing, 4_000) for failing in ((0, 0), self.NEARLY))
        assert (least_mu(empty, full, self.NEARLY[0] / 2) > 0) is found


class TestNoReuse:
    """No noise is drawn twice or follows from other noise: in an answer, between stages and between answers."""

    ATOMS, CELLS_OF_EACH = 1_500, 4
    AXES = ("answer", "stage", "cohort", "cell")

    def noise_of(self, noise: Noise) -> Array:
        """Return the noise of two answers in units of its scale: answers x stages x cohorts x cells."""
        layout = replace(SPEC, metrics=tuple(Metric(f"m{n}", "sum", "cents", high=9) for n in range(3))).layout({})
        spec = replace(SPEC, metrics=())
        plan = Plan.of(spec, layout)
        vector = np.array([10**9, 5, 6, 7])
        cells = copies(vector.tolist(), self.ATOMS, SPEC.levels)
        scales = np.array(list(plan.scales.values()))
        with all_pass():
            answers = [
                np.array([cohort["noisy"] for cohort in measure(spec, plan, cells, noise=noise)[1]], dtype=float)
                for _ in range(2)
            ]
        found = np.array(answers).reshape(2, 3, self.ATOMS, self.CELLS_OF_EACH) - vector
        return np.asarray(found / scales[:, None, None])

    def pairs(self, noise: Array) -> Iterator[tuple[str, Array, Array]]:
        """Yield what would be correlated where a bug shares noise along an axis."""
        for number, axis in enumerate(self.AXES):
            slices = np.moveaxis(noise, number, 0)
            if axis == "cohort":
                yield axis, slices[:-1], slices[1:]
            else:
                yield from ((axis, slices[one], slices[other]) for one, other in combinations(range(len(slices)), 2))

    def faults(self, noise: Array) -> set[str]:
        told = {
            axis
            for axis, one, other in self.pairs(noise)
            if abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) > 5 / math.sqrt(one.size)
        }
        # at scales of hundreds of thousands, two draws are hardly ever the same integer
        return told | ({"repeated"} if len(np.unique(noise)) < 0.95 * noise.size else set())

    def test_no_two_draws_have_to_do_with_each_other(self) -> None:
        assert self.faults(self.noise_of(mechanisms.discrete_gaussian)) == set()

    @pytest.mark.parametrize(
        ("bug", "axis"),
        [("answers", "answer"), ("stages", "stage"), ("cohorts", "cohort"), ("cells", "cell"), ("common", "cell")],
    )
    def test_noise_that_is_used_again_is_found(self, bug: str, axis: str) -> None:
        assert axis in self.faults(self.noise_of(reused(bug, 3 * self.ATOMS, self.CELLS_OF_EACH)))


def reused(bug: str, cohorts: int, width: int) -> Noise:
    """Return noise that a bug uses again where it should draw."""
    generator = np.random.default_rng(5)

    def stages() -> Iterator[Array]:
        kept: list[Array] = []
        while True:
            call = len(kept)
            drawn = generator.normal(size=(cohorts // 3, width))
            if bug == "answers" and call >= 3:
                drawn = kept[call - 3]
            if bug == "stages" and call % 3:
                drawn = kept[call - call % 3]
            if bug == "cohorts":
                drawn[1::2] = drawn[::2]
            if bug == "cells":
                drawn[:, 1] = drawn[:, 0]
            if bug == "common":
                drawn += 0.3 * generator.normal(size=(cohorts // 3, 1))
            kept.append(drawn)
            yield drawn

    calls = stages()
    return lambda values, scale: [
        value + round(scale * float(one)) for value, one in zip(values, next(calls).ravel(), strict=True)
    ]
