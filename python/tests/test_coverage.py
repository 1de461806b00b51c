"""Published intervals hold the truth as often as they say; reconciled figures agree, and say how far off they are."""

import math
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum import consistency, figures, linear_forms, mechanisms
from quorum.consistency import reconcile
from quorum.measurement import Noise
from tests.measured_world import FEATURES, SPEC, STEPS, World, exact, rounded_normal, world

RELEASES = 400
KINDS = {"count", "distinct_users", "sum", "mean", "ratio", "histogram"}


@pytest.fixture(scope="module")
def measured() -> World:
    return world(random.Random(1))


@dataclass
class Tally:
    """How often intervals held the truth, and the squares of errors over their declared standard deviations."""

    covered: list[bool]
    squares: list[float]

    @property
    def coverage(self) -> float:
        return float(np.mean(self.covered))

    @property
    def spread(self) -> float:
        """The empirical standard deviation, over the declared one."""
        return math.sqrt(np.mean(self.squares))


def tallies(world: World, releases: int, noise: Noise) -> dict[tuple[str, str], Tally]:
    """Simulate releases, and compare with the same figures of exact vectors; by kind and level, nothing selected."""
    truth = world.figures(exact)
    found: dict[tuple[str, str], Tally] = defaultdict(lambda: Tally([], []))
    for _ in range(releases):
        for name, row in world.figures(noise).items():
            true = truth[name]
            if row["metric"] == "funnel" and row["key"] == STEPS[0]:
                continue  # everybody gets to the first step: no noise at all
            tally = found[row["kind"], row["cohort_level"]]
            assert row["kind"] == "quantile" or None not in (row["estimate_low"], row["estimate_high"])
            low, high = (row[end] if row[end] is not None else limit for end, limit in ENDS)
            tally.covered.append(low <= true["estimate"] <= high)
            if row["amount_sigma"] is not None:
                tally.squares.append(((row["amount"] - true["amount"]) / row["amount_sigma"]) ** 2)
                tally.squares.append(((row["users"] - true["users"]) / row["users_sigma"]) ** 2)
    return found


ENDS = (("estimate_low", -math.inf), ("estimate_high", math.inf))


def merged(tallies: Iterable[Tally]) -> Tally:
    several = list(tallies)
    return Tally([c for each in several for c in each.covered], [s for each in several for s in each.squares])


def faults(found: dict[tuple[str, str], Tally]) -> list[str]:
    """Return which kinds, and which levels, do not hold what they declare; an interval of a quantile may be wide."""
    groups = {kind: merged(t for (k, _), t in found.items() if k == kind) for kind in KINDS}
    levels = {level for _, level in found}
    groups |= {level: merged(t for (k, at), t in found.items() if at == level and k in KINDS) for level in levels}
    told = [name for name, tally in groups.items() if abs(tally.coverage - 0.95) > 0.01]
    told += [f"{name} sigma" for name, tally in groups.items() if abs(tally.spread - 1) > 0.03]
    wide = merged(t for (kind, _), t in found.items() if kind == "quantile")
    return told + ["quantile"] * (wide.coverage < 0.95)


def test_intervals_hold_the_truth_as_often_as_they_say(measured: World) -> None:
    assert faults(tallies(measured, RELEASES, rounded_normal(1))) == []


@pytest.mark.soak
def test_so_they_do_with_the_noise_of_the_release(measured: World) -> None:
    assert faults(tallies(measured, 3_000, mechanisms.discrete_gaussian)) == []


def unaware_of_cells(layout: Any) -> Any:
    projection, _ = PARTITIONS(layout)
    return projection, np.eye(len(projection))


def unreconciled_sigma(members: Any, noisy: Any, scales: Any, layout: Any) -> consistency.Consistent:
    found = reconcile(members, noisy, scales, layout)
    return consistency.Consistent(found.estimates, np.square(np.array(scales)), found.covariance)


def averaged(members: Any, noisy: Any, scales: Any, layout: Any) -> consistency.Consistent:
    """Weigh all levels alike, and declare what that would give if they were."""
    return reconcile(members, noisy, [math.sqrt(np.mean(np.square(scales)))] * len(scales), layout)


PARTITIONS = consistency._partitions
BUGS: dict[str, tuple[Any, str, Any]] = {
    "partitions leave no trace in sigma": (consistency, "_partitions", unaware_of_cells),
    "sigma is that of one measurement": (linear_forms, "reconcile", unreconciled_sigma),
    "levels are weighed alike": (linear_forms, "reconcile", averaged),
    "an interval of 90 %": (figures, "Z95", 1.645),
}


@pytest.mark.parametrize("name", BUGS)
def test_an_interval_that_says_too_much_or_too_little_is_found(
    name: str, measured: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # fewer releases, so that some are told by accident; the same noise tells the same accidents
    sound = set(faults(tallies(measured, RELEASES // 5, rounded_normal(2))))
    monkeypatch.setattr(*BUGS[name])
    assert not set(faults(tallies(measured, RELEASES // 5, rounded_normal(2)))) <= sound


@pytest.mark.parametrize("without", [frozenset(), frozenset({"i0/r1/*"})], ids=["all atoms", "one is no quorum"])
def test_reconciled_figures_add_up(measured: World, without: frozenset[str]) -> None:
    noise = rounded_normal(3)
    rows = measured.figures(noise, without)
    for metric, key in (("users", "None"), ("spent", "None"), *(("adoption", key) for key in FEATURES)):
        atoms = {cohort: row for (level, cohort, *what), row in rows.items() if (level, *what) == ("atom", metric, key)}
        for parent, members in measured.cells.parents.items():
            whole = rows[parent.level, parent.key, metric, key]["amount"]
            assert whole == pytest.approx(sum(atoms[atom]["amount"] for atom in members - without), rel=1e-9)
    bins = linear_forms.Forms(measured.layout).of("minutes")
    eligible = [cohort for cohort in measured.cohorts(noise, without) if cohort["noisy"] is not None]
    vectors = linear_forms.vectors(measured.layout, eligible, measured.scales)
    assert len(vectors) == len(measured.cells.atoms) + len(measured.cells.parents) - len(without)
    for vector in vectors.values():
        users = vector.value(linear_forms.Forms(measured.layout).users)
        assert sum(vector.value(form) for form in bins.values()) == pytest.approx(users, rel=1e-9)


def test_noisy_figures_do_not_add_up_by_themselves(measured: World) -> None:
    cohorts = measured.cohorts(rounded_normal(3))
    atoms = [cohort["noisy"][0] for cohort in cohorts if cohort["level"] == "atom"]
    [whole] = [cohort["noisy"][0] for cohort in cohorts if cohort["level"] == "all"]
    assert abs(whole - sum(atoms)) > measured.plan.atom_scale


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sets(st.integers(0, 5), min_size=1), max_size=5), st.floats(1.0, 100.0), st.floats(1.0, 100.0))
def test_to_reconcile_never_adds_noise(unions: list[set[int]], of_atoms: float, of_unions: float) -> None:
    layout = SPEC.layout({})
    members = [[str(n)] for n in range(6)] + [[str(n) for n in union] for union in unions]
    scales = [of_atoms] * 6 + [of_unions] * len(unions)
    noisy = [[1000 * n] * (1 + len(layout.cells)) for n in range(len(members))]
    found = reconcile(members, noisy, scales, layout)
    assert np.all(found.variances <= np.square(scales) * (1 + 1e-9))
    assert np.all(np.linalg.eigvalsh(found.covariance) <= 1 + 1e-9)
