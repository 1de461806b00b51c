"""A budget is split so that the errors, in units of what is wanted, are as small as they can be together."""

import math
import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from quorum import budget_split, figures, rules
from quorum.measurement import Plan
from quorum.policy import ATOM, Spec
from quorum.runner import Dbt
from quorum.simulate_activity import FEATURES
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.specs import SPEC

LEVELS = {ATOM: 400, "industry": 900, "all": 2500}
USAGE = replace(SPEC, wanted_users=LEVELS)
ADOPTION = replace(
    SPEC, name="adoption", levels=("all",), wanted_users={ATOM: 700, "all": 700}, tolerance_points=Decimal(2)
)
DAILY = replace(
    SPEC, name="daily", period="day", wanted_users=LEVELS, rho_atoms=Decimal("0.001"), rho_parents=Decimal("0.001")
)
LIMIT = Decimal("0.05")
PRICES = {"usage": 1, "adoption": 1, "daily": 7}  # periods a week


def cost(split: budget_split.Split) -> Decimal:
    return sum((PRICES[name] * rho for name, levels in split.items() for rho in levels.values()), Decimal(0))


def squares(split: budget_split.Split) -> float:
    """Return the sum of squared errors: half intervals over the wanted users, in units of the tolerance."""
    total = 0.0
    for spec in (USAGE, ADOPTION, DAILY):
        needed = budget_split.users_at_one(spec, spec.layout({}))
        assert needed is not None
        for level, rho in split[spec.name].items():
            total += (needed / math.sqrt(rho) / spec.wanted_users[level]) ** 2
    return total


def test_no_other_split_has_less_error_for_what_is_wanted() -> None:
    split = budget_split.of_a_week([USAGE, ADOPTION, DAILY], {}, LIMIT)
    assert split is not None
    assert LIMIT * Decimal("0.999") < cost(split) <= LIMIT
    dice = random.Random(1)
    for _ in range(200):
        other = {
            name: {level: rho * Decimal(dice.uniform(0.8, 1.25)) for level, rho in levels.items()}
            for name, levels in split.items()
        }
        scale = cost(split) / cost(other)
        as_dear = {name: {level: rho * scale for level, rho in levels.items()} for name, levels in other.items()}
        assert squares(as_dear) > squares(split)


def test_levels_are_split_as_the_release_does() -> None:
    split = budget_split.of_a_week([USAGE], {}, SPEC.rho)
    assert split is not None
    ratio = split["usage"]["industry"] / split["usage"]["all"]
    declared = USAGE.rho_of_levels
    assert float(ratio) == pytest.approx(float(declared["industry"] / declared["all"]), rel=1e-3)


@pytest.mark.parametrize("spec", [SPEC, replace(USAGE, metrics=())], ids=["nothing is wanted", "nothing is measured"])
def test_what_says_nothing_is_not_split(spec: Spec) -> None:
    assert budget_split.of_a_week([USAGE, spec], {}, LIMIT) is None


def test_a_figure_has_the_wanted_error_at_the_rho_that_it_is_given() -> None:
    """The split speaks of the same users as the plan of the noise that comes of it."""
    split, layout = budget_split.of_a_week([USAGE], {}, SPEC.rho), USAGE.layout({})
    needed = budget_split.users_at_one(USAGE, layout)
    assert split is not None
    assert needed is not None
    rho = split["usage"][ATOM]
    scale = Plan.of(replace(USAGE, rho_atoms=rho), layout).atom_scale
    from_plan = figures.precise_from(USAGE.metrics[0], layout, scale, float(USAGE.tolerance_points))
    assert from_plan == pytest.approx(needed / math.sqrt(rho), rel=1e-3)


def test_what_ships_is_split_by_what_it_wants(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    specs = rules.load_policies(workspace, Dbt(workspace), worlds.LAST_DAY).specs
    split = budget_split.of_a_week(specs, {"feature_catalog": sorted(FEATURES)}, LIMIT)
    assert split is not None
    for spec in specs:
        assert float(split[spec.name][ATOM]) == pytest.approx(float(spec.rho_atoms), rel=0.05)
        assert float(sum(split[spec.name].values())) == pytest.approx(float(spec.rho), rel=0.05)
