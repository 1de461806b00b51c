"""A night that its budget is too small for, and one that finds another ledger than the one that paid."""

import shutil
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from quorum.audit import AuditLog
from quorum.ledger import Ledger
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.published import releases

WEEKS = [date(2026, 3, 2) + timedelta(days=7 * week) for week in range(4)]
# what each release asks of a week's budget, in the order in which they are answered
COSTS = {
    "engagement": "0.008",
    "feature_usage": "0.030",
    "funnel_conversion": "0.004",
    "retention": "0.004",
    "time_to_value": "0.004",
}


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Workspace]:
    """Four weeks are due and the quarter has room for two; a night later it has room for all."""
    poor = worlds.simulated(tmp_path_factory.mktemp("poor"))
    poor.policy.mkdir()
    (poor.policy / "budgets.csv").write_text("population,time_window,rho\nproduct_users,quarter,0.1\n")
    worlds.run(poor)
    rich = worlds.copied(poor, tmp_path_factory.mktemp("rich") / "workspace")
    (rich.policy / "budgets.csv").unlink()
    worlds.run(rich)
    return poor, rich


def test_what_it_has_no_room_for_is_refused_and_costs_nothing(nights: tuple[Workspace, Workspace]) -> None:
    poor, _ = nights
    charges = Ledger.open(poor.ledger_url).charges()
    assert [(charge.slot.start, charge.slot.release, charge.cost.rho) for charge in charges] == [
        (week, release, Decimal(rho)) for week in WEEKS[:2] for release, rho in COSTS.items()
    ]
    rows = releases.features(releases.release(poor))
    assert set(zip(rows.period_start, rows.status, strict=True)) == {
        *((week, "ineligible") for week in WEEKS[:2]),
        *((week, "budget") for week in WEEKS[2:]),
    }
    refused = rows[rows.status == "budget"]
    assert len(refused) == len(rows) / 2
    silent = ["active_users", "active_users_sigma", "adopters", "adopters_sigma", "adoption_share", "mechanism"]
    assert refused[silent].isna().all(axis=None)
    refusal = {"command": "run", "error": "BudgetExhausted", "at": "budget.check"}
    assert [entry.facts for entry in AuditLog(poor).of("refused")] == [refusal] * 2 * len(COSTS)


def test_a_refusal_is_not_for_good(nights: tuple[Workspace, Workspace]) -> None:
    first, second = (Ledger.open(night.ledger_url).answers("feature_usage") for night in nights)
    assert [answer.slot.start for answer in second] == WEEKS
    assert second[:2] == first


@pytest.mark.parametrize(("found", "said"), [("no ledger", "there is no ledger"), ("an older one", "an older ledger")])
def test_without_its_ledger_nothing_is_released(
    nights: tuple[Workspace, Workspace], tmp_path: Path, found: str, said: str
) -> None:
    poor, rich = nights
    workspace = worlds.copied(rich, tmp_path / "workspace")
    ledger = workspace.root / "ledger" / "ledger.db"
    ledger.unlink()
    if found == "an older one":
        shutil.copy2(poor.root / "ledger" / "ledger.db", ledger)
    before = worlds.file_hashes(workspace.root)
    night = worlds.quorum(workspace, "run", "--as-of", str(worlds.LAST_DAY))
    assert night.exit_code == 4
    assert said in night.stderr
    assert len(night.stderr.splitlines()) == 1
    after = worlds.file_hashes(workspace.root)
    assert {path for path in after if after[path] != before.get(path)} == {
        "restricted/audit.jsonl",
        "restricted/heads.json",
    }, "nothing was done but to say so"
    assert after.keys() == before.keys()
