"""After each answer its cohorts are held to their guarantees by exact figures, and what breaks one is not published."""

import math
from collections import defaultdict
from datetime import date
from pathlib import Path

import pytest

from quorum import cohort_quality, release_folders, warehouse
from quorum.cohort_control import History
from quorum.errors import QuorumError
from quorum.ledger import Ledger
from quorum.runner import Dbt
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.shared import Night

WEEK = date(2026, 3, 23)
TRUTH = """
    with users as (
        select cohort_key, contributor_key, count(distinct (tenant_key, unit_key)) as users
        from cross_tenant.cohort_tenants as members
        inner join tenant.int_events as events using (tenant_key)
        where members.period_start = $1 and events.occurred_at >= $1 and events.occurred_at < $1 + interval 7 day
        group by all
    )
    select cohort_key, count(*), sum(users), sum(least(users, 50)), max(least(users, 50)) / sum(least(users, 50))
    from users group by all order by all
"""
# What could be wrong with an eligible group, and the test that says so.
PLANTED = {
    "four contributors": (
        "update measured_groups set contributors = 4 where is_eligible",
        "an_eligible_group_has_the_contributors_of_a_quorum",
    ),
    "one user short of a quorum": (
        "update measured_groups set weight = 249 where is_eligible",
        "an_eligible_group_has_the_users_of_a_quorum",
    ),
    "fewer users than it weighs": (
        "update measured_groups set users = weight - 1 where is_eligible",
        "an_eligible_group_has_the_users_of_a_quorum",
    ),
    "one contributor with more than a fifth": (
        "update measured_groups set largest_weight = weight // 5 + 1 where is_eligible",
        "no_contributor_dominates_an_eligible_group",
    ),
    "a tenant in two atoms": (
        "insert into cohort_tenants by name select * replace ('*/*/*' as cohort_key) from cohort_tenants "
        f"where cohort_key = 'retail/eu/*' and period_start = '{WEEK}' limit 1",
        "an_eligible_group_is_an_atom_and_atoms_do_not_overlap",
    ),
    "a group that is no atom": (
        "update measured_groups set cohort_key = 'retail/*/*' where cohort_key = 'retail/eu/*'",
        "an_eligible_group_is_an_atom_and_atoms_do_not_overlap",
    ),
}


@pytest.fixture(scope="module")
def workspace(benchmarked_night: Night, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The week of two cohorts, a copy that the tests of this module plant bugs in."""
    return worlds.copied(benchmarked_night.workspace, tmp_path_factory.mktemp("quality") / "workspace")


def execute(workspace: Workspace, *statements: str) -> None:
    with warehouse.opened(workspace, "cross_tenant") as connection:
        for statement in statements:
            connection.execute(statement)


def check(workspace: Workspace, dbt: Dbt | None = None) -> None:
    releases = worlds.fetch(workspace, "cross_tenant", "select distinct release from release_periods order by release")
    ledger = Ledger.open(workspace.ledger_url)
    answers = [answer for (release,) in releases for answer in ledger.answers(release)]
    cohort_quality.check(workspace, dbt or Dbt(workspace), answers, worlds.silent)


def test_the_exact_figures_are_those_of_the_events(workspace: Workspace) -> None:
    with warehouse.attached(workspace, "cross_tenant", "tenant") as connection:
        truth = connection.execute(TRUTH, [WEEK]).fetchall()
    query = "select cohort_key, contributors, users, weight, largest_share from cohort_quality where period_start = $1 "
    found = worlds.fetch(workspace, "cross_tenant", query + "and release = 'feature_usage' order by all", [WEEK])
    assert len(truth) == 2
    assert [row[:4] for row in found] == [row[:4] for row in truth]
    for mine, true in zip(found, truth, strict=True):
        assert mine[4] == pytest.approx(float(true[4]))


def test_risk_and_loss_by_hand(workspace: Workspace) -> None:
    query = (
        "select cohort_key, is_eligible, contributors, users, prosecutor_risk, journalist_risk, marketer_risk, "
        "information_loss, withheld_users_share from cohort_quality "
        "where release = 'feature_usage' and period_start = $1"
    )
    rows = {row[0]: row[1:] for row in worlds.fetch(workspace, "cross_tenant", query, [WEEK])}
    assert rows.keys() == {"retail/eu/*", "media/us/small"}
    eligible = {key for key, row in rows.items() if row[0]}
    assert eligible
    active = {key: row[1] for key, row in rows.items()}
    for key, (_, contributors, _, prosecutor, journalist, marketer, loss, withheld) in rows.items():
        assert prosecutor == 1 / contributors
        assert 1 / 22 <= journalist <= prosecutor, "of the 22 on the registry some refuse, and share an owner"
        assert math.isclose(marketer, len(eligible) / sum(active[each] for each in eligible))
        assert loss == pytest.approx(1 / 3 if key == "retail/eu/*" else 0)
        lost = sum(row[2] for each, row in rows.items() if each not in eligible)
        assert withheld == pytest.approx(lost / sum(row[2] for row in rows.values()))


def test_the_ledger_alone_gives_each_map_again(workspace: Workspace) -> None:
    history = History.of(Ledger.open(workspace.ledger_url).answers("feature_usage"))
    found: dict[date, set[str]] = defaultdict(set)
    for start, key in worlds.fetch(workspace, "cross_tenant", "select period_start, cohort_key from cohort_maps"):
        found[start].add(key)
    assert len(found) == 5, "four weeks, and the one before them"
    assert history.in_force == found
    assert [sorted(period.passed) for period in history.before(date.max)][:3] == [[], [], []], "weeks without events"
    assert history.before(date.max)[3].passed


def test_the_operator_sees_the_map_and_its_reasons(workspace: Workspace) -> None:
    shown = worlds.quorum(workspace, "cohorts")
    assert shown.exit_code == 0, shown.output
    for word in ("retail/eu/*", "media/us/small", "enough contributors", "feature_usage"):
        assert word in shown.output


def test_a_night_that_answers_nothing_checks_nothing(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    dbt = Dbt(workspace)
    monkeypatch.setattr(dbt, "build", lambda stage, _target: steps.append(stage))
    check(workspace, dbt)
    assert steps == []
    execute(workspace, "drop table measured_groups")  # as where a night was killed right after it answered
    check(workspace, dbt)
    check(workspace, dbt)
    assert steps == ["cohort_quality"]


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str, workspace: Workspace) -> None:
    bug, test = PLANTED[name]
    groups, members = (
        "create table sound_groups as from measured_groups",
        "create table sound_members as from cohort_tenants",
    )
    execute(workspace, groups, members, bug, "update measured_groups set is_checked = false")
    try:
        for _ in range(2):  # nor does the next night publish
            with pytest.raises(QuorumError, match=f"nothing is published.*{test}") as problem:
                check(workspace)
            assert "\n" not in str(problem.value)
    finally:
        execute(
            workspace,
            "create or replace table measured_groups as from sound_groups",
            "create or replace table cohort_tenants as from sound_members",
            "drop table sound_groups",
            "drop table sound_members",
        )


def test_a_night_over_a_broken_cohort_publishes_nothing(workspace: Workspace, tmp_path: Path) -> None:
    broken = worlds.copied(workspace, tmp_path / "broken")
    execute(broken, "update measured_groups set is_checked = false, contributors = 4 where is_eligible")
    published = release_folders.current(broken)
    done = worlds.quorum(broken, "run", f"--as-of={worlds.LAST_DAY}", tested=True)
    assert done.exit_code != 0
    assert "nothing is published, for a cohort breaks its guarantees" in done.output
    assert release_folders.current(broken) == published
