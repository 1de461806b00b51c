"""A deeper look from the request to the mart: asked by one, approved by another, paid once, shown with its release."""

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from quorum import warehouse
from quorum.ledger import Ledger
from quorum.runner import Dbt
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night

WEEK = worlds.LAST_DAY - timedelta(days=6)
ASKED = (
    *("request", "feature_usage", "--metric", "adoption", "--key", "search", "--level", "all"),
    *("--from", str(WEEK), "--to", str(worlds.LAST_DAY), "--until", "2026-12-31"),
    *("--rho-atoms", "0.005", "--rho-parents", "0.005", "--why", "a pricing study", "--by", "ann"),
)
AS_OF = ("--as-of", str(worlds.LAST_DAY))


@pytest.fixture(scope="module")
def workspace(benchmarked_night: Night, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two cohorts of which the larger is told, and room in the budget of the week."""
    copy = worlds.copied(benchmarked_night.workspace, tmp_path_factory.mktemp("looked") / "workspace")
    worlds.unanswered(copy)
    less = "releases: {feature_usage: {rho_atoms: 0.01, rho_parents: 0.01, history: 1}}"
    (copy.policy / "releases.yml").write_text(less)
    worlds.answer(copy)
    return copy


@pytest.mark.parametrize("command", [("approve", "1"), ("refuse", "1", "--why=no"), ASKED])
def test_without_a_workspace_it_is_told_in_one_line(command: tuple[str, ...], tmp_path: Path) -> None:
    told = worlds.quorum(Workspace(tmp_path / "nowhere"), *command, "--by=bo")
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr == f"quorum: no workspace at {tmp_path / 'nowhere'}: make one with `quorum init`\n"


def test_one_that_has_no_room_is_not_approved(workspace: Workspace, tmp_path: Path) -> None:
    copy = worlds.copied(workspace, tmp_path / "workspace")
    too_much = ["0.006" if each == "0.005" else each for each in ASKED]
    asked = worlds.quorum(copy, *too_much, *AS_OF)
    assert asked.exit_code == 0
    assert "No room now: the plan outruns its budget: 0 of 1 fit" in asked.stdout
    refused = worlds.quorum(copy, "approve", "1", "--by", "bo", *AS_OF)
    assert refused.exit_code == 4
    assert refused.stderr.startswith("quorum: request 1 cannot be paid: the plan outruns its budget: 0 of 1 fit")
    assert "so rho 0.010 would fit" in refused.stderr


def test_a_group_that_has_lost_its_quorum_is_in_no_look_and_stops_no_night(
    workspace: Workspace, tmp_path: Path
) -> None:
    """Rows expire, and users are erased, after the release was answered: what they leave is no quorum any more."""
    copy = worlds.copied(workspace, tmp_path / "workspace")
    for command in (ASKED, ("approve", "1", "--by", "bo")):
        assert worlds.quorum(copy, *command, *AS_OF).exit_code == 0
    night = worlds.events_alone(copy)
    with warehouse.opened(copy, "tenant") as connection:
        connection.execute("delete from int_events where hash(unit_key) % 20 <> 0")
    night._dbt = Dbt(copy)  # with the tests that hold what was answered to its guarantees
    night.answer()
    assert [outcome.due.spec.name for outcome in night.report.outcomes] == ["feature_usage#1"]
    groups = {row["key"]: row["members"] for row in night.report.outcomes[0].payload["cohorts"]}
    assert set(map(len, groups.values())) == {0}, "no figure is about what is left"
    weights = "select cohort_key, weight from measured_groups where release = 'feature_usage#1'"
    left = dict(worlds.fetch(copy, "cross_tenant", weights))
    before = Ledger.open(copy.ledger_url).eligible("feature_usage", "week", WEEK)
    assert before
    assert all(0 < left[key] < 250 for key in before), "else this shows nothing"
    night.answer()
    assert (night.report.outcomes, night.report.waiting) == ([], []), "the night after goes on"


def test_from_the_request_to_the_mart(workspace: Workspace) -> None:
    ledger = Ledger.open(workspace.ledger_url)
    before = ledger.length
    asked = worlds.quorum(workspace, *ASKED, *AS_OF, "--json")
    assert asked.exit_code == 0, asked.stderr
    told = json.loads(asked.stdout)
    assert (told["request"], told["release"], told["rho"], told["no_room"]) == (1, "feature_usage#1", "0.010", None)

    own = worlds.quorum(workspace, "approve", "1", "--by", "Ann ", *AS_OF)
    assert (own.exit_code, own.stderr) == (4, "quorum: request 1 is Ann 's own: somebody else has to approve it\n")
    assert ledger.length == before, "nothing is spent on words"
    assert worlds.quorum(workspace, "approve", "1", "--by", "bo", *AS_OF).exit_code == 0
    assert worlds.quorum(workspace, "approve", "1", "--by", "bo", *AS_OF).exit_code == 4

    night = worlds.answer(workspace)
    assert [outcome.due.spec.name for outcome in night.outcomes] == ["feature_usage#1"]
    [charge] = [charge for charge in ledger.charges() if charge.slot.release == "feature_usage#1"]
    plan = night.outcomes[0].due.plan
    assert charge.cost.rho == Decimal("0.010")
    assert 0 <= float(charge.cost.delta_gate) - plan.delta_gate <= 1e-12, "it draws a gate of its own"
    assert 1e-8 < plan.delta_gate < 1.1e-8

    rows = {
        name: worlds.fetch(
            workspace,
            "released",
            "select cohort_level, cohort_key, status, estimate, (estimate_high - estimate_low) / 2 as error "
            f"from mart_benchmarks where release = '{name}' and period_start = '{WEEK}' and metric = 'adoption' "
            "and metric_key = 'search' and cohort_level in ('atom', 'all') order by all",
        )
        for name in ("feature_usage", "feature_usage#1")
    }
    pairs = list(zip(rows["feature_usage"], rows["feature_usage#1"], strict=True))
    assert [both[0][:2] for both in pairs] == [both[1][:2] for both in pairs], "the same cohorts"
    assert [both[0][2] == "ineligible" for both in pairs] == [both[1][2] == "ineligible" for both in pairs]
    released = [both for both in pairs if both[0][2] == both[1][2] == "released"]
    assert released
    for (*_, wide, wide_error), (*_, deep, deep_error) in released:
        assert deep_error < 0.6 * wide_error, "one cell of ten, for half as much"
        assert abs(wide - deep) < 3 * (wide_error + deep_error)
    cells = "select distinct metric, metric_key, cohort_level from mart_benchmarks where release = 'feature_usage#1'"
    assert worlds.fetch(workspace, "released", f"{cells} order by all") == [
        ("adoption", "search", "all"),
        ("adoption", "search", "atom"),
    ]
    assert worlds.fetch(workspace, "released", "select rho from mart_benchmark_catalog where release like '%#1'") == [
        (0.01,)
    ]
    assert worlds.begun(workspace, worlds.LAST_DAY)._due() == [], "an answer stands"


def test_one_that_is_ended_is_shown_no_longer(workspace: Workspace) -> None:
    ended = worlds.quorum(workspace, "refuse", "1", "--by", "bo", "--why", "the study is over")
    assert ended.exit_code == 0
    listed = worlds.quorum(workspace, "requests")
    assert "refused  feature_usage  adoption, search, all" in listed.stdout
    assert "bo: the study is over" in listed.stdout
    worlds.answer(workspace)
    assert worlds.fetch(workspace, "released", "select count(*) from mart_benchmarks where release like '%#1'") == [
        (0,)
    ]
    spent = Ledger.open(workspace.ledger_url).spent("product_users", "week", WEEK)
    assert spent == Decimal("0.050"), "what it cost stays spent"
