"""The gate between warehouse and readers: what stops a release, what withholds one bundle, and what is said of it."""

import secrets
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from quorum import gate, nightly, public_keys, release_folders, warehouse
from quorum.errors import Refused
from quorum.gate import Checks, Last, Verdict
from quorum.keyring import Keyring
from quorum.ledger import Ledger
from quorum.marts import Column, Published
from quorum.runner import Dbt
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night

TENANT = "acme-001"
FAULTS = {
    TENANT: ("sessions = -1", "values_to_be_between on sessions"),
    "globex-002": ("stickiness_low = 1", "a_to_be_greater_than_b on stickiness, stickiness_low"),
    "initech-003": ("stickiness_state = 'ask ada@example.com'", "not_match_regex_list on stickiness_state"),
}


class Copy:
    """The warehouse of a workspace, to do harm to, and what the gate says of it."""

    def __init__(self, workspace: Workspace, root: Path) -> None:
        self.workspace = Workspace(root)
        shutil.copytree(workspace.warehouse, self.workspace.warehouse)
        (self.workspace.restricted / "spill").mkdir(parents=True)
        self.published = Published.of(Dbt(workspace).manifest())
        self._keyring = Keyring.open(workspace.keyring)
        self.last = release_folders.last(workspace, {keys.tenant_key for keys in self._keyring.tenants().values()})
        self._features = public_keys.catalog_keys(workspace)
        self._answers = Ledger.open(workspace.ledger_url).all_answers()
        self.tenant_key = self.key(TENANT)

    def key(self, tenant: str) -> str:
        return self._keyring.of(tenant).tenant_key

    def harm(self, plane: str, statement: str) -> None:
        with warehouse.opened(self.workspace, plane) as connection:
            connection.execute(statement)

    def check(self, last: Last | None = None, *, accept_changes: bool = False) -> Verdict:
        checks = Checks(self.workspace, self.published, last or self.last, accept_changes=accept_changes)
        return checks.all(self._features, self._answers)


@pytest.fixture
def copy(simulated_night: Night, tmp_path: Path) -> Copy:
    return Copy(simulated_night.workspace, tmp_path)


@pytest.fixture(scope="module")
def benchmarked(benchmarked_night: Night, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(benchmarked_night.workspace, tmp_path_factory.mktemp("benchmarked"))


def test_what_is_published_passes(copy: Copy, benchmarked: Copy) -> None:
    assert copy.check().withheld == {}
    verdict = benchmarked.check()
    assert (verdict.withheld, set(verdict.statuses)) == ({}, {"released", "imprecise", "ineligible"})


def test_a_fault_in_a_tenants_rows_withholds_its_bundle(copy: Copy) -> None:
    """By what the warehouse says of its metrics, and the project of its marts."""
    keys = [copy.key(tenant) for tenant in FAULTS]
    for key, (harm, _) in zip(keys, FAULTS.values(), strict=True):
        copy.harm("tenant", f"update mart_tenant_daily set {harm} where tenant_key = '{key}'")
    withheld = copy.check().withheld
    assert withheld.keys() == set(keys), "and not the fourth"
    for key, (_, named) in zip(keys, FAULTS.values(), strict=True):
        assert withheld[key].startswith("mart_tenant_daily fails expect_")
        assert withheld[key].endswith(f"{named}: its last bundle stays; {gate.REMEDY}")
        assert "ada" not in withheld[key]


def test_who_has_a_mart_alone_holds_up_nobody_else(copy: Copy) -> None:
    copy.harm("tenant", f"delete from mart_tenant_daily where tenant_key <> '{copy.tenant_key}'")
    copy.harm("tenant", "update mart_tenant_daily set sessions = -1")
    assert copy.check(accept_changes=True).withheld.keys() == {copy.tenant_key}


def test_a_fault_in_all_of_a_mart_keeps_the_last_release(copy: Copy) -> None:
    copy.harm("tenant", "update mart_tenant_daily set sessions = -1")
    with pytest.raises(Refused, match=r"mart_tenant_daily fails expect_.* on sessions: the last release stays"):
        copy.check()


def test_rows_of_no_tenant_keep_the_last_release(copy: Copy) -> None:
    with warehouse.opened(copy.workspace, "tenant") as connection:
        connection.execute("create table daily as from mart_tenant_daily")  # without its constraints
        connection.execute("insert into daily by name select * replace (null as tenant_key) from daily limit 1")
        connection.execute("drop table mart_tenant_daily")
        connection.execute("alter table daily rename to mart_tenant_daily")
    with pytest.raises(Refused, match="values_to_not_be_null on tenant_key: the last release stays"):
        copy.check()


def test_a_column_that_no_contract_has_keeps_the_last_release(copy: Copy) -> None:
    copy.harm("tenant", "alter table mart_tenant_daily add column email varchar")
    with pytest.raises(Refused, match="mart_tenant_daily fails expect_table_columns_to_match_ordered_list: the last"):
        copy.check()


@pytest.mark.parametrize("name", ["email", "person_key", "contributor_key"])
def test_nor_does_a_contract_let_an_identifier_out(copy: Copy, name: str) -> None:
    first, *others = copy.published.of_tenants
    wider = replace(first, columns=(*first.columns, Column(name, "varchar", "", False)))
    copy.published = replace(copy.published, of_tenants=(wider, *others))
    with pytest.raises(Refused, match=f"{first.name} has a column {name}, which never leaves the warehouse"):
        copy.check()


class TestAgainstTheLastRelease:
    def test_a_tenant_that_lost_most_of_its_rows_keeps_its_bundle(self, copy: Copy) -> None:
        lost = f"delete from mart_tenant_daily where tenant_key = '{copy.tenant_key}' and day(activity_date) % 3 > 0"
        copy.harm("tenant", lost)
        [why] = copy.check().withheld.values()
        assert why == (
            "rows_since_the_last_release fails expect_column_values_to_be_between on percent_left: "
            f"its last bundle stays; {gate.ACCEPT}"
        )
        assert copy.check(accept_changes=True).withheld == {}

    def test_a_third_of_them_may_go(self, copy: Copy) -> None:
        copy.harm("tenant", "delete from mart_tenant_daily where day(activity_date) % 3 = 0")
        assert copy.check().withheld == {}

    def test_a_released_figure_stands(self, benchmarked_night: Night, tmp_path: Path) -> None:
        other = Copy(benchmarked_night.workspace, tmp_path)
        [place] = worlds.fetch(
            other.workspace, "released", "select rowid from mart_benchmarks where status = 'released' limit 1"
        )
        other.harm("released", f"update mart_benchmarks set estimate = estimate + 0.001 where rowid = {place[0]}")
        with pytest.raises(Refused, match=r"figures_since_the_last_release fails .* on change: the last release stays"):
            other.check()
        assert other.check(accept_changes=True).statuses

    def test_a_last_release_that_cannot_be_read_is_told(self, benchmarked: Copy, tmp_path: Path) -> None:
        file = tmp_path / "mart_benchmarks.parquet"
        file.write_bytes(b"PAR1, and no more")
        with pytest.raises(Refused, match=r"mart_benchmarks.parquet cannot be read: put it back, or run with"):
            benchmarked.check(Last({}, tmp_path))


def test_one_bundle_is_withheld_and_all_others_move_on(simulated_night: Night, tmp_path: Path) -> None:
    workspace = worlds.copied(simulated_night.workspace, tmp_path / "workspace")
    keyring = Keyring.open(workspace.keyring)
    bad, good = (keyring.of(name).tenant_key for name in (TENANT, "globex-002"))
    before = worlds.file_hashes(workspace.published / "current" / "tenants")
    with warehouse.opened(workspace, "tenant") as connection:
        connection.execute(f"update mart_tenant_daily set sessions = -sessions where tenant_key = '{bad}'")
        connection.execute(f"update mart_tenant_features set feature = feature || ' too' where tenant_key = '{good}'")

    with worlds.only_publishing():
        result = worlds.quorum(workspace, "run", "--as-of", str(worlds.LAST_DAY))

    assert result.exit_code == Refused.exit_code
    assert result.stderr.splitlines()[-1] == (
        f"quorum: tenant {TENANT}: mart_tenant_daily fails expect_column_values_to_be_between on sessions: "
        f"its last bundle stays; {gate.REMEDY}"
    )
    after = worlds.file_hashes(workspace.published / "current" / "tenants")
    assert after.keys() == before.keys()
    changed = {name.split("/")[0] for name in after if after[name] != before[name]}
    assert changed == {good}
    release_folders.verify(workspace)
    release = (workspace.published / "current").readlink()

    with warehouse.opened(workspace, "tenant") as connection:
        connection.execute(f"update mart_tenant_daily set sessions = -sessions where tenant_key = '{bad}'")
    with nightly.between_nights(workspace, worlds.LAST_DAY, worlds.silent) as night:
        night.publish()
    assert (night.report.withheld, (workspace.published / "current").readlink()) == ({}, release)


@pytest.fixture
def canaries() -> list[str]:
    return [f"canary-{secrets.token_hex(8)}@example.com" for _ in range(50)]


def test_the_operators_pages_name_expectations_and_no_value(copy: Copy, canaries: list[str]) -> None:
    columns = [
        column for mart in copy.published.of_tenants for column in mart.columns if column.name.endswith("_state")
    ]
    assert columns
    with warehouse.opened(copy.workspace, "tenant") as connection:
        for number, canary in enumerate(canaries):
            marts = [mart.name for mart in copy.published.of_tenants if any(c in columns for c in mart.columns)]
            mart = marts[number % len(marts)]
            _plant(connection, mart, canary, copy.tenant_key, number)
    withheld = copy.check().withheld
    assert withheld.keys() == {copy.tenant_key}
    pages = [file.read_text("utf-8", "replace") for file in (copy.workspace.restricted / "data_docs").rglob("*.html")]
    assert len(pages) > len(copy.published.of_tenants)
    assert any("stickiness_state" in page and "ailed" in page for page in pages)
    said = [*pages, *withheld.values()]
    assert [canary for canary in canaries if any(canary in text or canary[:20] in text for text in said)] == []


def _plant(connection: duckdb.DuckDBPyConnection, mart: str, canary: str, tenant_key: str, number: int) -> None:
    [(column,)] = connection.execute(
        "select column_name from duckdb_columns() where table_name = ? and ends_with(column_name, '_state') limit 1",
        [mart],
    ).fetchall()
    connection.execute(
        f"update {mart} set {column} = ? where rowid = "
        f"(select rowid from {mart} where tenant_key = ? order by rowid limit 1 offset {number})",
        [canary, tenant_key],
    )
