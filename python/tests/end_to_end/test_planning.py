"""`quorum plan`: says before anything is spent what a run would do, and fails where a budget has no room for it."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from quorum.ledger import Ledger
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night

AS_OF = worlds.LAST_DAY + timedelta(weeks=2)
IN_Q1, IN_Q2 = date(2026, 3, 30), date(2026, 4, 6)  # due by then; four weeks of the first quarter have an answer


@pytest.fixture(scope="module")
def workspace(simulated_night: Night, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return worlds.copied(simulated_night.workspace, tmp_path_factory.mktemp("planned") / "workspace")


def planned(workspace: Workspace, window: str, rho: str) -> tuple[Result, dict[str, Any]]:
    workspace.policy.mkdir(exist_ok=True)
    (workspace.policy / "budgets.csv").write_text(f"population,time_window,rho\nproduct_users,{window},{rho}\n")
    before = Ledger.open(workspace.ledger_url).length
    result = worlds.quorum(workspace, "plan", "--as-of", str(AS_OF), "--json")
    assert Ledger.open(workspace.ledger_url).length == before, "a plan spends nothing"
    return result, json.loads(result.stdout)


def fits(plan: dict[str, Any]) -> dict[str, bool]:
    """Say of each period whether all that is due of it fits."""
    weeks = {each["period_start"] for each in plan["due"]}
    return {week: all(each["fits"] for each in plan["due"] if each["period_start"] == week) for week in weeks}


def test_a_plan_that_fits_is_a_good_one(workspace: Workspace) -> None:
    result, plan = planned(workspace, "year", "2")
    assert (result.exit_code, result.stderr) == (0, "")
    assert fits(plan) == {str(IN_Q1): True, str(IN_Q2): True}
    year = next(row for row in plan["budgets"] if row["window"] == "2026")
    assert (year["spent"], year["asked"], year["left"]) == ("0.200", "0.100", "1.700")
    assert (year["refreshes"], year["warning"]) == ("2027-01-01", False)


def test_one_that_takes_most_of_a_budget_warns(workspace: Workspace) -> None:
    result, plan = planned(workspace, "year", "0.33")
    assert result.exit_code == 0
    assert all(fits(plan).values())
    assert result.stderr == (
        "quorum: warning: population product_users would have lost rho 0.300 of 0.33 in 2026 (91%); "
        "periods from 2027-01-01 on have a new budget\n"
    )


@pytest.mark.parametrize(
    ("window", "rho", "said"),
    [
        ("year", "0.2", "0 of 10 fit in this order; engagement 2026-03-30 asks rho 0.008 where product_users has "
         "0.000 left in 2026, so none would fit; periods from 2027-01-01 on have a new budget"),
        ("year", "0.27", "9 of 10 fit in this order; feature_usage 2026-04-06 asks rho 0.030 where product_users has "
         "0.012 left in 2026, so rho 0.012 would fit; periods from 2027-01-01 on have a new budget"),
    ],
)  # fmt: skip
def test_one_that_outruns_a_budget_fails_after_it_is_printed(
    workspace: Workspace, window: str, rho: str, said: str
) -> None:
    result, plan = planned(workspace, window, rho)
    assert result.exit_code == 4
    assert result.stderr.splitlines()[-1] == f"quorum: the plan outruns its budget: {said}"
    assert len(plan["due"]) == 10
    assert not all(row["fits"] for row in plan["budgets"])


def test_a_run_does_what_was_planned(workspace: Workspace, tmp_path: Path) -> None:
    _, plan = planned(workspace, "quarter", "0.2")
    assert fits(plan) == {str(IN_Q1): False, str(IN_Q2): True}, "a later quarter has a budget of its own"
    copy = worlds.copied(workspace, tmp_path / "workspace")
    night = worlds.answer(copy, AS_OF)
    assert {str(each.due.start): each.refusal is None for each in night.outcomes} == fits(plan)


def test_a_plan_is_not_made_over_another_ledger(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    Ledger.create(other)
    monkeypatch.setenv("QUORUM_LEDGER", other)
    for command in ("plan", "ledger"):
        result = worlds.quorum(workspace, command)
        assert (result.exit_code, result.stdout) == (4, "")
        assert "this is not the ledger of the published release" in result.stderr


def test_the_loss_of_several_units_is_told(workspace: Workspace) -> None:
    told = worlds.quorum(workspace, "ledger", "--units", "3")
    assert told.exit_code == 0
    assert "epsilon_of_3" in told.stdout
    found = json.loads(worlds.quorum(workspace, "ledger", "--units", "3", "--json").stdout)
    assert found["units"] == 3
    assert {row["window"] for row in found["usage"]} >= {"2026-W13", "2026-Q1", "2026", "lifetime"}
