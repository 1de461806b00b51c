"""The one mart of a tenant in which others have a part: what it holds, and who has it."""

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from quorum import comparisons, warehouse
from quorum.errors import QuorumError
from quorum.keyring import Keyring
from quorum.linear_forms import Vector
from quorum.runner import Dbt
from quorum.tenant_shares import Share
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night
from tests.end_to_end.truth_vs_benchmark import ADOPTION, MART, WEEK, compare_again, faults

Subtraction = Callable[[Vector, Share, Sequence[str]], Vector]


@pytest.fixture(scope="module")
def workspace(benchmarked_night: Night) -> Workspace:
    return benchmarked_night.workspace


def test_it_is_what_the_answer_and_the_tenants_own_rows_say(workspace: Workspace) -> None:
    rows = worlds.fetch(workspace, "tenant", ADOPTION, [WEEK])
    assert faults(workspace, rows) == set()
    assert {(row[2], row[4]) for row in rows} >= {("released", "retail/eu/*"), ("released", "*/*/*")}
    assert {row[-1] for row in rows} == {True, False}
    assert max(row[6] for row in rows) == 50 > min(row[6] for row in rows)


def own_share_stays() -> Subtraction:
    return lambda vector, _share, _members: vector


def share_of_another() -> Subtraction:
    """Take off what the tenant before it has added."""
    seen: list[Share] = []
    without = comparisons.without

    def wrong(vector: Vector, share: Share, members: Sequence[str]) -> Vector:
        seen.append(share)
        width = len(share.vector)
        others = (each for each in reversed(seen) if each.tenant_key != share.tenant_key and len(each.vector) == width)
        return without(vector, replace(share, vector=next(others, share).vector), members)

    return wrong


@pytest.mark.parametrize("bug", [own_share_stays, share_of_another])
def test_a_planted_bug_is_found(
    bug: Callable[[], Subtraction], workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = worlds.copied(workspace, tmp_path / "workspace")
    monkeypatch.setattr(comparisons, "without", bug())
    compare_again(copy)
    query = ADOPTION.replace(" cohort,", " cohort_key,").replace(MART, "benchmark_comparisons")
    assert "others_estimate" in faults(copy, worlds.fetch(copy, "tenant", query, [WEEK]))


def test_whoever_consents_has_it_over_the_whole_keyset(workspace: Workspace) -> None:
    """Every release, week, segment, metric and key, withheld or not, but for totals; not who weighs with others."""
    with (workspace.registry / "tenants.csv").open(newline="") as file:
        last = {row["tenant_id"]: row for row in csv.DictReader(file)}
    consenting = [row for row in last.values() if row["benchmark_consent"] == "true"]
    owners = Counter(row["owner_group"] or row["tenant_id"] for row in consenting)
    assert len(owners) < len(consenting) < len(last)
    alone = {row["tenant_id"] for row in consenting if owners[row["owner_group"] or row["tenant_id"]] == 1}
    keys = Keyring.open(workspace.keyring).tenants()
    names = "release, period, period_start, segment, metric"
    found = defaultdict(list)
    for tenant, *rest in worlds.fetch(workspace, "tenant", f"select tenant_key, {names}, key from {MART} order by all"):
        found[tenant].append(tuple(rest))
    assert found.keys() == {keys[tenant].tenant_key for tenant in alone}
    keyset = f"select distinct {names}, metric_key from mart_benchmarks where kind not in ('count', 'sum') order by all"
    expected = worlds.fetch(workspace, "released", keyset)
    assert all(rows == expected for rows in found.values())


def test_nothing_is_compared_with_what_is_withheld(workspace: Workspace) -> None:
    """In the weeks before the last nobody did anything, and the smaller cohort is told too imprecisely."""
    rows = worlds.fetch(
        workspace, "tenant", f"select period_start < ?, status, count(*) from {MART} group by all", [WEEK]
    )
    statuses = defaultdict(set)
    for is_earlier, status, _ in rows:
        statuses[is_earlier].add(status)
    assert statuses[True] == {"ineligible"}
    assert statuses[False] >= {"released", "imprecise"}
    figures = "others_users, others_estimate, others_estimate_low, others_estimate_high, difference, is_more_than_noise"
    withheld = worlds.fetch(workspace, "tenant", f"select distinct {figures} from {MART} where status <> 'released'")
    assert withheld == [(None,) * 6]
    shown = f"""
        select count(*), count(*) filter (where status = 'released') from {MART} inner join benchmarks
        using (release, period, period_start, cohort_level, cohort, segment, metric, key)
    """
    public = f"""
        with benchmarks as (
            select * exclude (cohort_key, metric_key), cohort_key as cohort, metric_key as key
            from released.mart_benchmarks
        )
        {shown.replace(MART, f"(select * exclude status from tenant.{MART})")}
    """
    with warehouse.attached(workspace, "tenant", "released") as connection:
        [(joined, released)] = connection.execute(public).fetchall()
    [(all_released,)] = worlds.fetch(workspace, "tenant", f"select count(*) from {MART} where status = 'released'")
    assert joined == released == all_released, "each stands beside a benchmark that everybody can read"


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        ("others_estimate = 1 where status = 'ineligible'", "a_withheld_benchmark_is_compared_with_nothing"),
        ("difference = difference + 1 where difference is not null", "a_difference_is_of_two_figures"),
    ],
)
def test_a_wrong_comparison_stops_the_night(harm: str, named: str, workspace: Workspace, tmp_path: Path) -> None:
    copy = worlds.copied(workspace, tmp_path / "workspace")
    with warehouse.opened(copy, "tenant") as connection:
        connection.execute(f"update benchmark_comparisons set {harm}")
    with pytest.raises(QuorumError, match=named):
        Dbt(copy).build("compared", "compared")
