"""What a tenant added to an answer is kept while the answer is compared, and no longer than the rows it is made of."""

import gzip
import json
import re
from collections import defaultdict
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

import pytest

from quorum import comparisons, erasure, expiry, warehouse
from quorum.keyring import Keyring
from quorum.rules import load_policies
from quorum.runner import Dbt
from quorum.settings import project_directory
from quorum.subjects import USER, persons
from quorum.workspace import Workspace
from tests.end_to_end import erasures, worlds
from tests.end_to_end.conftest import Night
from tests.end_to_end.truth_vs_benchmark import MART, WEEK, compare_again


def kept(workspace: Workspace) -> dict[str, set[tuple[str, date]]]:
    """Return of which releases and weeks each tenant has a comparison."""
    found = defaultdict(set)
    query = f"select distinct tenant_key, release, period_start from {MART}"
    for tenant, name, start in worlds.fetch(workspace, "tenant", query):
        found[tenant].add((name, start))
    return dict(found)


def test_they_end_with_the_history_of_their_release(simulated_night: Night, tmp_path: Path) -> None:
    copy = worlds.copied(simulated_night.workspace, tmp_path / "workspace")
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
        for spec in load_policies(workspace, Dbt(workspace), worlds.LAST_DAY).specs
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


@pytest.mark.parametrize("by", ["retention_days", "label", "url"])
def test_what_expires_takes_the_comparisons_along(by: str, simulated_night: Night, tmp_path: Path) -> None:
    workspace = worlds.copied(simulated_night.workspace, tmp_path / "workspace")
    key = Keyring.open(workspace.keyring).tenants()[TENANT].tenant_key
    before, limit = kept(workspace), worlds.LAST_DAY - timedelta(days=10)
    with warehouse.opened(workspace, "restricted") as connection:
        if by == "retention_days":
            connection.execute("update registry_today set retention_days = 11 where tenant_id = ?", [TENANT])
        else:
            connection.execute("insert into class_retention values (?, ?, 11)", [TENANT, by])
            connection.execute("insert into class_retention values (?, 'ip_address', 1)", [TENANT])  # never counted
    forget_old(workspace)
    days = {day for day, _ in worlds.fetch(simulated_night.workspace, "tenant", EVENTS, [key]) if day < limit}
    gone = touched(workspace, days)
    assert set() < gone < before[key]
    assert kept(workspace) == before | {key: before[key] - gone}
    forget_old(workspace)
    assert kept(workspace) == before | {key: before[key] - gone}, "what has expired does not expire again"


def test_no_release_reads_a_field_that_may_expire_beside_its_shares() -> None:
    """Those that are shipped, and those that are examples to be copied."""
    shipped, examples = project_directory() / "models" / "release", project_directory() / "docs" / "examples"
    read = {
        file: {*re.findall(r"\w+", file.read_text())} for file in (*shipped.glob("*.sql"), *examples.rglob("*.sql"))
    }
    words = set().union(*read.values())
    assert words & {*expiry.COLUMNS.values()} == {"event_name", "feature", "url_path"}
    assert not words & set(expiry.UNMEASURED)
    assert set(expiry.UNMEASURED) < set(expiry.COLUMNS.values())
