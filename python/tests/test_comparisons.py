"""A tenant beside its benchmark: the others are the cohort without it, and their error is that of the noise."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from quorum import answers, comparisons, figures, linear_forms
from quorum.comparisons import TOTALS, is_outside
from quorum.figures import Figure
from quorum.linear_forms import Vector
from quorum.measurement import Group, Noise
from quorum.policy import ATOM
from quorum.tenant_shares import Share
from tests.measured_world import METRICS, World, exact, rounded_normal, world

RELEASES = 200
HERE = "i0/r1/*"
AROUND = ((ATOM, HERE), ("industry", "i0/*/*"), ("all", "*/*/*"))
WIDE = 100.0  # points; a tolerance that lets everything pass

Row = dict[str, Any]
Name = tuple[str, str]  # metric and key


@pytest.fixture(scope="module")
def measured() -> World:
    return world(random.Random(4))


def content(world: World, noise: Noise, tolerance: float = WIDE, without: frozenset[str] = frozenset()) -> Row:
    """Return an answer as the ledger gives it back."""
    cohorts = world.cohorts(noise, without)
    told = answers.payload(world.spec, world.layout, world.plan, cohorts, is_answered=True)
    return json.loads(json.dumps(told | {"tolerance_points": tolerance}))  # type: ignore[no-any-return]


def share(world: World, number: int, around: tuple[tuple[str, str], ...] = AROUND) -> Share:
    return Share("tenant", None, around, world.added[around[0][1]][number])


def compared(content: Row, own: Share) -> dict[Name, Row]:
    rows = comparisons.of_answer(content, [own], True)
    return {(row["metric"], str(row["key"])): row for row in rows}


def left(world: World, number: int) -> World:
    """Return the world in which the tenant has never been."""
    others = [vector for place, vector in enumerate(world.added[HERE]) if place != number]
    vectors = world.cells.vectors | {Group(HERE, None): tuple(map(sum, zip(*others, strict=True)))}
    return replace(world, cells=replace(world.cells, vectors=vectors))


def faults(world: World) -> Iterator[Name]:
    """Yield what is not as it is without the tenant, in the cohorts around it; no noise is in the way."""
    for number in (0, 5, 13):
        told = left(world, number).figures(exact)
        for level, key in AROUND:
            others = share(world, number, ((ATOM, HERE),))
            others = replace(others, cohorts=((level, key), (ATOM, HERE)))  # this one is asked first
            for name, row in compared(content(world, exact), others).items():
                assert (row["cohort_level"], row["cohort_key"], row["is_in_cohort"]) == (level, key, True)
                if row["others_estimate"] != pytest.approx(told[level, key, *name]["estimate"], abs=2e-5):
                    yield name


def test_the_others_are_the_cohort_without_the_tenant(measured: World) -> None:
    assert set(faults(measured)) == set()


def with_share(change: Callable[[Share], Share]) -> Callable[..., Vector]:
    without = comparisons.without
    return lambda vector, share, members: without(vector, change(share), members)


BUGS: dict[str, Callable[[World, Share], Share]] = {
    "its share is not subtracted": lambda _world, share: replace(share, vector=(0,) * len(share.vector)),
    "another tenant's is": lambda world, share: replace(share, vector=world.added[HERE][1]),
    "half of it is": lambda _world, share: replace(share, vector=tuple(value // 2 for value in share.vector)),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_wrong_subtraction_is_found(bug: str, measured: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparisons, "without", with_share(lambda share: BUGS[bug](measured, share)))
    assert len(set(faults(measured))) > 10


def test_the_tenants_figure_is_what_the_cohort_of_it_alone_would_show(measured: World) -> None:
    own = share(measured, 3)
    vectors = {group: own.vector if group.atom == HERE else (0,) * len(own.vector) for group in measured.cells.groups}
    alone = replace(measured, cells=replace(measured.cells, vectors=vectors)).figures(exact)
    for name, row in compared(content(measured, rounded_normal(1)), own).items():
        expected = alone[ATOM, HERE, *name]
        assert row["tenant_estimate"] == pytest.approx(expected["estimate"], abs=2e-5)
        assert row["tenant_users"] == round(expected["users"])


def test_others_and_own_add_up_to_what_is_released(measured: World) -> None:
    """With all noise: to take a share off the noisy vectors first, and reconcile them then, comes to the same."""
    told, own = content(measured, rounded_normal(2)), share(measured, 7)
    added = np.array(own.vector)
    off = [
        cohort | {"noisy": list(np.array(cohort["noisy"]) - added * (HERE in cohort["members"]))}
        for cohort in told["cohorts"]
    ]
    layout = answers.layout_of(told)
    released, without = (linear_forms.vectors(layout, cohorts, told["scales"]) for cohorts in (told["cohorts"], off))
    members = {(cohort["level"], cohort["key"]): cohort["members"] for cohort in told["cohorts"]}
    for place, vector in released.items():
        others = comparisons.without(vector, own, members[place])
        assert np.array_equal(others.covariance, vector.covariance)
        # all but what rounding leaves of a contributor's bins
        assert others.values == pytest.approx(without[place].values, abs=len(layout.cells))
        assert np.array_equal(others.values + added * (HERE in members[place]), vector.values)


def test_the_interval_holds_the_others_as_often_as_it_says(measured: World) -> None:
    truth, own = compared(content(measured, exact), share(measured, 0)), share(measured, 0)
    draws = (rounded_normal(seed) for seed in range(RELEASES))
    rows = [compared(content(measured, noise), own) for noise in draws]
    for kind in ("mean", "ratio", "distinct_users"):
        held = [
            row["others_estimate_low"] <= truth[name]["others_estimate"] <= row["others_estimate_high"]
            for found in rows
            for name, row in found.items()
            if row["kind"] == kind
        ]
        assert np.mean(held) == pytest.approx(0.95, abs=0.04), kind


def test_totals_are_compared_with_nothing(measured: World) -> None:
    shown = {metric.name for metric in METRICS if metric.kind not in TOTALS}
    assert {metric for metric, _ in compared(content(measured, exact), share(measured, 0))} == shown
    assert shown < {metric.name for metric in METRICS}


def test_the_narrowest_cohort_is_shown_that_is_precise_enough(measured: World) -> None:
    """Precise enough without the tenant: fewer users are told less precisely."""
    own, name = share(measured, 0), ("visits", "None")
    errors = {}
    for level, key in AROUND:
        told = linear_forms.vectors(measured.layout, measured.cohorts(exact), measured.scales)[level, key]
        others = comparisons.without(told, own, [HERE])
        [metric] = [metric for metric in METRICS if metric.name == name[0]]
        [whole], [rest] = (
            figures.figures(metric, linear_forms.Forms(measured.layout), vector) for vector in (told, others)
        )
        assert whole.error_points is not None
        assert rest.error_points is not None
        assert whole.error_points < rest.error_points
        errors[level] = whole.error_points, rest.error_points
    (atom, atom_rest), (industry, industry_rest), (_, all_rest) = (errors[level] for level, _ in AROUND)
    expected: list[tuple[float, str | None]] = [
        (atom_rest, ATOM),
        ((atom + atom_rest) / 2, "industry"),
        ((industry + industry_rest) / 2, "all"),
        (all_rest * 0.999, None),
    ]
    for tolerance, shown in expected:
        row = compared(content(measured, exact, tolerance), own)[name]
        assert row.get("cohort_level") == shown
        assert row["status"] == ("released" if shown else "imprecise")


def test_of_a_cohort_that_it_is_not_in_nothing_is_taken_off(measured: World) -> None:
    """Its own atom is no quorum, so that no figure has it in it; those around it are of others alone."""
    without = frozenset({HERE})
    benchmark = measured.figures(rounded_normal(5), without)
    told = content(measured, rounded_normal(5), without=without)
    for name, row in compared(told, share(measured, 0)).items():
        assert (row["cohort_key"], row["is_in_cohort"]) == ("i0/*/*", False)
        released = benchmark["industry", "i0/*/*", *name]
        assert row["others_users"] == pytest.approx(released["users"], abs=1e-6)
        assert row["others_estimate"] == pytest.approx(released["estimate"], abs=1e-6)


def test_without_a_quorum_there_is_the_tenants_own_figure_alone(measured: World) -> None:
    nobody = frozenset(atom.key for atom in measured.cells.atoms)
    refused = content(measured, exact, without=nobody)
    for is_answered, status in ((True, "ineligible"), (False, "budget")):
        rows = list(comparisons.of_answer(refused, [share(measured, 0)], is_answered))
        assert {row["status"] for row in rows} == {status}
        assert not any("others_estimate" in row or "cohort_key" in row for row in rows)
        assert all(row["tenant_estimate"] is not None for row in rows if row["kind"] == "mean")


def test_who_has_no_users_has_no_figure(measured: World) -> None:
    quiet = replace(share(measured, 0), vector=(0,) * len(measured.added[HERE][0]))
    for row in compared(content(measured, exact), quiet).values():
        assert (row["tenant_users"], row["tenant_estimate"], row["difference"]) == (0, None, None)
        assert row["is_more_than_noise"] is None
        assert row["others_estimate"] is not None


@pytest.mark.parametrize(
    ("estimate", "low", "high", "outside"),
    [
        (0.5, 0.4, 0.6, False),
        (0.4, 0.4, 0.6, False),
        (0.6, 0.4, 0.6, False),
        (0.39, 0.4, 0.6, True),
        (0.61, 0.4, 0.6, True),
        (9.0, 0.4, None, False),
        (0.3, 0.4, None, True),
        (0.0, None, 0.6, False),
        (0.5, None, None, None),
        (None, 0.4, 0.6, None),
    ],
)
def test_outside_is_beyond_an_end_that_is_there(
    estimate: float | None, low: float | None, high: float | None, outside: bool | None
) -> None:
    assert is_outside(estimate, Figure(None, 0.5, low, high)) is outside


def test_a_share_where_all_are_equal_is_no_difference(measured: World) -> None:
    """Everybody does a funnel's first step: no noise is in that, and the last bits of a double say nothing."""
    for number in range(len(measured.added[HERE])):
        row = compared(content(measured, rounded_normal(6)), share(measured, number))["funnel", "visit"]
        assert (row["tenant_estimate"], row["others_estimate"], row["difference"]) == (1, 1, 0)
        assert row["is_more_than_noise"] is False
        assert Decimal(str(row["others_estimate_low"])) == Decimal(1)
