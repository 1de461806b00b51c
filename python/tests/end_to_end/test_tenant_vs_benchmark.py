"""The one mart of a tenant in which others have a part: who has it, what it holds, and when it goes."""

import csv
import gzip
import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quorum import comparisons, erasure, expiry, release, warehouse
from quorum.figures import Vector
from quorum.keyring import Keyring
from quorum.ledger import Ledger
from quorum.rules import load_policies
from quorum.runner import Dbt
from quorum.subjects import USER, persons
from quorum.workspace import Workspace
from tests.end_to_end import erasures, worlds
from tests.end_to_end.conftest import Night

WEEK = worlds.LAST_DAY - timedelta(days=6)
MART = "mart_tenant_vs_benchmark"
ADOPTION = f"""
select tenant_key, key, status, cohort_level, cohort, is_in_cohort, tenant_users, tenant_estimate, others_users,
    others_estimate, others_estimate_low, others_estimate_high, difference, is_more_than_noise
from {MART} where metric = 'adoption' and period_start = ?
"""
OWN = """
select tenant_key, feature, count(distinct unit_key), any_value(users)
from int_events
inner join (
    select tenant_key, count(distinct unit_key) as users from int_events where occurred_at >= $1 group by tenant_key
) using (tenant_key)
where occurred_at >= $1
group by tenant_key, feature
"""
Z = 1.959964


@dataclass(frozen=True)
class Others:
    """The others of one cohort, worked out from the stored answer and the tenant's own rows."""

    users: float
    estimate: float
    variance: float  # of the estimate's numerator less r times its denominator, by r
    scale: int
    centre: int
    count_scale: int

    def is_end(self, end: float) -> bool:
        """Say whether an interval ends here (Fieller): the data are z standard deviations off."""
        form = (self.centre / self.scale - end) / self.count_scale
        sigma = math.sqrt(self.variance * (form**2 + 1 / self.scale**2))
        return abs(abs(self.estimate - end) * self.users / sigma - Z) < 1e-3


def reconciled(answer: Mapping[str, Any]) -> dict[tuple[str, str], tuple[Any, float]]:
    """Return the least-squares estimate of each cohort's vector, and its variance; the cells are no partition."""
    told = [cohort for cohort in answer["cohorts"] if cohort["noisy"] is not None]
    atoms = sorted({atom for cohort in told for atom in cohort["members"]})
    weights = np.array([1 / answer["scales"][cohort["level"]] for cohort in told])
    members = np.array([[float(atom in cohort["members"]) for atom in atoms] for cohort in told])
    weighted = weights[:, None] * members
    found, *_ = np.linalg.lstsq(weighted, weights[:, None] * np.array([c["noisy"] for c in told], dtype=float))
    variances = np.linalg.pinv(weighted.T @ weighted)
    return {
        (cohort["level"], cohort["key"]): (row @ found, float(row @ variances @ row))
        for cohort, row in zip(told, members, strict=True)
    }


def truth(workspace: Workspace, rows: list[tuple[Any, ...]]) -> dict[tuple[str, str], tuple[float, int, Others]]:
    """Return a tenant's own share of users, their number, and the others, for each released row of adoption."""
    [answer] = [
        answer.payload
        for answer in Ledger.open(workspace.ledger_url).answers("feature_usage")
        if answer.slot.start == WEEK
    ]
    layout = answer["layout"]
    [block], cap = layout["blocks"], layout["tenant_cap"]
    s, c = block["scale"], block["centre"]
    assert block["max_cells"] == len(block["cells"]), "a user counts in full for each feature"
    users: dict[str, int] = {}
    adopters: dict[tuple[str, str], int] = defaultdict(int)
    for tenant, feature, adopted, active in worlds.fetch(workspace, "tenant", OWN, [WEEK]):
        users[tenant], adopters[tenant, feature] = active, adopted
    vectors, members = reconciled(answer), {(x["level"], x["key"]): x["members"] for x in answer["cohorts"]}
    keys = [cell["key"] for cell in block["cells"]]
    [(count_scale,)] = worlds.fetch(
        workspace, "cross_tenant", "select distinct count_scale from release_periods where release = 'feature_usage'"
    )
    found = {}
    for tenant, key, status, level, cohort, is_in_cohort, *_ in rows:
        n, adopted = users.get(tenant, 0), adopters[tenant, key]
        weight = min(n, cap)
        if status == "released":
            assert is_in_cohort == bool(members[level, cohort]) is True
            values, variance = vectors[level, cohort]
            active = values[0] / count_scale
            others = active - weight
            adopting = (values[1 + keys.index(key)] + c * active) / s - adopted * weight / n
            found[tenant, key] = (adopted / n, weight, Others(others, adopting / others, variance, s, c, count_scale))
    return found


def faults(workspace: Workspace, rows: list[tuple[Any, ...]]) -> set[str]:
    """Return the columns that are not as they are worked out to be."""
    expected, told = truth(workspace, rows), set()
    assert len(expected) > 100
    for tenant, key, status, _, _, _, users, own, others_users, estimate, low, high, difference, is_more in rows:
        if status != "released":
            continue
        share, weight, others = expected[tenant, key]
        told |= {"tenant_users"} if users != weight else set()
        told |= {"tenant_estimate"} if own != pytest.approx(share, abs=2e-6) else set()
        told |= {"others_users"} if others_users != pytest.approx(others.users, abs=1e-3) else set()
        told |= {"others_estimate"} if estimate != pytest.approx(others.estimate, abs=2e-6) else set()
        told |= {"interval"} if not (low < estimate < high and others.is_end(low) and others.is_end(high)) else set()
        told |= {"difference"} if difference != pytest.approx(own - estimate, abs=1e-9) else set()
        told |= {"is_more_than_noise"} if is_more == (low <= own <= high) else set()
    return told


@pytest.fixture(scope="module")
def workspace(benchmarked_night: Night) -> Workspace:
    return benchmarked_night.workspace


def test_it_is_what_the_answer_and_the_tenants_own_rows_say(workspace: Workspace) -> None:
    rows = worlds.fetch(workspace, "tenant", ADOPTION, [WEEK])
    assert faults(workspace, rows) == set()
    assert {(row[2], row[4]) for row in rows} >= {("released", "retail/eu/*"), ("released", "*/*/*")}
    assert {row[-1] for row in rows} == {True, False}
    assert max(row[6] for row in rows) == 50 > min(row[6] for row in rows)


BUGS = {
    "its own share is not subtracted": lambda vector, _share, _members: vector,
    "another tenant's is": lambda vector, share, _members: Vector(
        vector.values - np.roll(np.array(share.vector, dtype=float), 1), vector.covariance
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(
    bug: str, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = worlds.copied(workspace, tmp_path / "workspace")
    monkeypatch.setattr(comparisons, "without", BUGS[bug])
    compare_again(copy)
    query = ADOPTION.replace(" cohort,", " cohort_key,").replace(MART, "benchmark_comparisons")
    assert "others_estimate" in faults(copy, worlds.fetch(copy, "tenant", query, [WEEK]))


def compare_again(workspace: Workspace, as_of: date = worlds.LAST_DAY) -> None:
    """Do the night's step once more, over the answers that the ledger has."""
    policies, ledger = load_policies(workspace, Dbt(workspace)), Ledger.open(workspace.ledger_url)
    given = [answer for spec in policies.specs for answer in ledger.answers(spec.name)]
    comparisons.write(workspace, release.shown(given, []), policies.specs, as_of)


def kept(workspace: Workspace) -> dict[str, set[tuple[str, date]]]:
    """Return of which releases and weeks each tenant has a comparison."""
    found = defaultdict(set)
    query = f"select distinct tenant_key, release, period_start from {MART}"
    for tenant, name, start in worlds.fetch(workspace, "tenant", query):
        found[tenant].add((name, start))
    return dict(found)


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


def test_it_ends_with_the_weeks_that_a_release_looks_back_on(workspace: Workspace, tmp_path: Path) -> None:
    copy = worlds.copied(workspace, tmp_path / "workspace")
    compare_again(copy, worlds.LAST_DAY + timedelta(days=7))
    weeks = "select distinct period_start from benchmark_comparisons order by all"
    assert worlds.fetch(copy, "tenant", weeks) == [(WEEK - timedelta(days=7 * back),) for back in (2, 1, 0)]
    [(measurements,)] = worlds.fetch(copy, "tenant", "select count(distinct measurement_id) from benchmark_shares")
    assert measurements == 3 * 5


TENANT = "globex-002"
ERASED_DAYS = """
select distinct cast(occurred_at as date)
from tenant.int_events inner join restricted.landing_erased using (landing_file, landing_row)
"""
EVENTS = "select cast(occurred_at as date), event_key from int_events where tenant_key = ?"


def last_to_come(workspace: Workspace) -> str:
    """Return the user of the tenant who was seen first on the latest day, and whom its operator does not list."""
    listed = (workspace.registry / "internal_users.csv").read_text().lower()
    first_seen: dict[str, str] = {}
    for file in sorted((workspace.landing / "quorum").iterdir()):
        for line in gzip.decompress(file.read_bytes()).decode().splitlines():
            with suppress(ValueError):
                row = json.loads(line)
                if row["tenant_id"] == TENANT and (row["user_id"] or listed).strip().lower() not in listed:
                    user, instant = row["user_id"], str(row["occurred_at"])
                    first_seen[user] = min(first_seen.get(user, instant), instant)
    sound = {user: instant for user, instant in first_seen.items() if instant < str(worlds.LAST_DAY)}
    return max(sound, key=lambda user: (sound[user], user))


def touched(workspace: Workspace, days: set[date]) -> set[tuple[str, date]]:
    """Return the releases and weeks whose windows hold one of these days."""
    return {
        (spec.name, start)
        for spec in load_policies(workspace, Dbt(workspace)).specs
        for start, end in spec.periods(worlds.LAST_DAY)
        if any(start - timedelta(days=spec.lookback_days) <= day < end for day in days)
    }


def test_who_is_forgotten_takes_the_tenants_comparisons_along(simulated_night: Night, tmp_path: Path) -> None:
    """Those of the weeks, look-back included, in which it did something; the other tenants keep theirs."""
    workspace = worlds.copied(simulated_night.workspace, tmp_path / "workspace")
    keyring, people = Keyring.open(workspace.keyring), persons(USER, [last_to_come(workspace)])
    key, before = keyring.tenants()[TENANT].tenant_key, kept(workspace)
    erasure._mark(workspace, worlds.LAST_DAY, TENANT, people, keyring, erasures.BEFORE)
    with warehouse.attached(workspace, "tenant", "restricted") as connection:
        days = {day for (day,) in connection.execute(ERASED_DAYS).fetchall()}
    assert kept(workspace) == before, "a run that is killed here is made good by the next one"
    comparisons.forget(workspace)
    gone = touched(workspace, days)
    assert set() < gone < before[key]
    assert kept(workspace) == before | {key: before[key] - gone}
    assert worlds.fetch(workspace, "restricted", "from forgotten_days") == []
    compare_again(workspace)
    again = f"select count(*) from benchmark_comparisons full join {MART} using (tenant_key, release, period_start)"
    unmatched = f"{again} where benchmark_comparisons.tenant_key is null or {MART}.tenant_key is null"
    assert worlds.fetch(workspace, "tenant", unmatched) == [(0,)], "what stands was measured with the user"


def forget_old(workspace: Workspace) -> None:
    """Do what a night does of retention, as far as the shares."""
    keyring = Keyring.open(workspace.keyring)
    expiry.expire_rows(workspace, keyring, worlds.LAST_DAY)
    expiry.expire_fields(workspace, keyring)
    comparisons.forget(workspace)


@pytest.mark.parametrize("by", ["retention_days", "days of a class"])
def test_what_expires_takes_the_comparisons_along(by: str, simulated_night: Night, tmp_path: Path) -> None:
    workspace = worlds.copied(simulated_night.workspace, tmp_path / "workspace")
    key = Keyring.open(workspace.keyring).tenants()[TENANT].tenant_key
    before, limit = kept(workspace), worlds.LAST_DAY - timedelta(days=10)
    with warehouse.opened(workspace, "restricted") as connection:
        if by == "retention_days":
            connection.execute("update registry_today set retention_days = 11 where tenant_id = ?", [TENANT])
        else:
            connection.execute("insert into class_retention values (?, 'label', 11)", [TENANT])
            connection.execute("insert into class_retention select ?, 'url', 1", [TENANT])  # nothing is counted by it
    forget_old(workspace)
    days = {day for day, _ in worlds.fetch(simulated_night.workspace, "tenant", EVENTS, [key]) if day < limit}
    gone = touched(workspace, days)
    assert set() < gone < before[key]
    assert kept(workspace) == before | {key: before[key] - gone}
    forget_old(workspace)
    assert kept(workspace) == before | {key: before[key] - gone}, "what has expired does not expire again"
