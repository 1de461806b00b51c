"""What the pages of a night say, and what they cannot say."""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from cryptography.exceptions import InvalidTag

from quorum import bundles, losses, publish, release_folders, warehouse
from quorum.bundles import Bundle
from quorum.keyring import Keyring
from quorum.ledger import Ledger
from quorum.marts import Published
from quorum.pages import benchmarks, rendering, sealing
from quorum.pages.tenants import TenantPages
from quorum.runner import Dbt
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night
from tests.html_text import Page, number, sealed

NEWEST = """
    select * from mart_benchmarks as row
    where period_start = (select max(period_start) from mart_benchmarks where release = row.release)
"""


@pytest.fixture(scope="module")
def workspace(benchmarked_night: Night) -> Workspace:
    return benchmarked_night.workspace


@pytest.fixture(scope="module")
def release(workspace: Workspace) -> Path:
    folder = release_folders.current(workspace)
    assert folder is not None
    return folder


@pytest.fixture(scope="module")
def public(release: Path) -> bytes:
    return (release / release_folders.CROSS_TENANT / publish.PAGE).read_bytes()


@pytest.fixture(scope="module")
def tenants(workspace: Workspace) -> list[Bundle]:
    return bundles.of_tenants(workspace, Keyring.open(workspace.keyring))


@contextmanager
def rows_of(workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    with warehouse.attached(workspace, "restricted", "tenant", "released") as connection:
        yield connection


class TestBenchmarks:
    def test_it_is_made_of_the_published_marts_and_the_ledger_alone(
        self, workspace: Workspace, release: Path, public: bytes
    ) -> None:
        """Also by another process, on another day: nothing but these is needed, and no clock or random is in it."""
        budgets = losses.of_newest_periods(Ledger.open(workspace.ledger_url))
        with duckdb.connect() as connection:
            connection.execute("create schema published")
            for mart in ("mart_benchmarks", "mart_benchmark_catalog"):
                file = release / release_folders.CROSS_TENANT / f"{mart}.parquet"
                connection.execute(f"create view published.{mart} as from '{file}'")
            assert benchmarks.page(connection, "published", budgets) == public

    def test_each_figure_of_the_newest_period_is_as_in_the_mart(self, workspace: Workspace, public: bytes) -> None:
        page = Page(public)
        with warehouse.opened(workspace, "released", read_only=True) as connection:
            rows = warehouse.rows(connection, NEWEST)
        shown = [row for row in rows if row["estimate"] is not None]
        assert {row["release"] for row in shown} >= {"engagement", "feature_usage"}, "there is something to look for"
        for row in shown:
            parts = [row["metric"], *(row[each] for each in ("metric_key", "segment") if row[each] != "*")]
            title = re.sub(r"(\d)_(\d)", r"\1 to \2", ": ".join(parts)).replace("_", " ").capitalize()
            table = page.tables[title]
            [found] = [cells for cells in table[1:] if cells[0] == benchmarks.cohort(row)]
            part_of_one = 0.01 if found[2].endswith("%") else 1
            assert number(found[2]) * part_of_one == pytest.approx(row["estimate"], rel=0.02, abs=0.0051)
            low, high = (number(text) * part_of_one for text in found[3].split(" to "))
            assert (low, high) == pytest.approx((row["estimate_low"], row["estimate_high"]), rel=0.02, abs=0.0051)
        figures = [
            cells
            for name, table in page.tables.items()
            for cells in table[1:]
            if cells[1:2] == [""] and name != "Budgets"
        ]
        assert len(figures) == len(shown), "and there is no other one"

    def test_each_that_is_withheld_has_its_reason(self, workspace: Workspace, public: bytes) -> None:
        found = {
            (name.removeprefix("Withheld of ").replace(" ", "_"), cells[1], cells[0]): int(cells[2])
            for name, table in Page(public).tables.items()
            if name.startswith("Withheld of ")
            for cells in table[1:]
        }
        with warehouse.opened(workspace, "released", read_only=True) as connection:
            rows = warehouse.rows(connection, f"from ({NEWEST}) where status <> 'released'")
        expected: dict[tuple[str, str, str], int] = {}
        for row in rows:
            key = (row["release"], row["status"], benchmarks.cohort(row))
            expected[key] = expected.get(key, 0) + 1
        assert found == expected
        assert expected

    def test_what_is_spent_and_left_adds_up(self, workspace: Workspace, public: bytes) -> None:
        usage = losses.of_newest_periods(Ledger.open(workspace.ledger_url))
        table = Page(public).tables["Budgets"]
        assert [row[1:3] for row in table[1:]] == [[each["window"], str(each["rho"])] for each in usage]
        for row in table[1:]:
            if row[4] != "no limit":
                assert number(row[2]) + number(row[5]) == pytest.approx(number(row[4]))

    def test_every_metric_has_its_facts(self, workspace: Workspace, public: bytes) -> None:
        facts = Page(public).tables
        for name, metric in worlds.fetch(workspace, "released", "select release, metric from mart_benchmark_catalog"):
            assert metric.replace("_", " ") in [row[0] for row in facts[f"Metrics of {name.replace('_', ' ')}"]]

    def test_no_tenant_is_in_it(self, workspace: Workspace, public: bytes) -> None:
        for tenant, keys in Keyring.open(workspace.keyring).tenants().items():
            assert tenant.encode() not in public
            assert keys.tenant_key.encode() not in public


class TestTenants:
    def test_in_plain_all_say_the_same(self, release: Path, tenants: list[Bundle]) -> None:
        """So nothing of it can be about one of them."""
        pages = [(release / "tenants" / each.tenant_key / publish.PAGE).read_bytes() for each in tenants]
        assert len({page.replace(sealed(page).encode(), b"") for page in pages}) == 1
        assert len({sealed(page) for page in pages}) == len(pages)
        assert len({len(page) for page in pages}) == 1

    def test_its_key_opens_its_figures_and_no_other_does(
        self, workspace: Workspace, release: Path, tenants: list[Bundle]
    ) -> None:
        query = (
            "select tenant_key, max_by(weekly_active_users, activity_date) from mart_tenant_daily group by tenant_key"
        )
        users = dict(worlds.fetch(workspace, "tenant", query))
        for bundle, other in zip(tenants, [*tenants[1:], tenants[0]], strict=True):
            seal = sealed((release / "tenants" / bundle.tenant_key / publish.PAGE).read_bytes())
            figures = Page(sealing.opened(seal, bundle.key))
            assert re.search(rf"Users in seven days\s*{users[bundle.tenant_key]:,}\b", figures.text)
            with pytest.raises(InvalidTag):
                sealing.opened(seal, other.key)

    def test_how_fresh_and_complete_it_is_is_of_its_own_rows(
        self, workspace: Workspace, release: Path, tenants: list[Bundle]
    ) -> None:
        query = (
            "select tenant_key, sum(quarantined_rows), sum(accepted_events) from gov_tenant_health_days group by all"
        )
        counts = {
            key: (int(refused), int(accepted))
            for key, refused, accepted in worlds.fetch(workspace, "restricted", query)
        }
        assert any(refused for refused, _ in counts.values())
        for bundle in tenants:
            refused, accepted = counts[bundle.tenant_key]
            page = (release / "tenants" / bundle.tenant_key / publish.PAGE).read_bytes()
            text = Page(sealing.opened(sealed(page), bundle.key)).text
            assert re.search(rf"{refused:,} rows refused in \d+ days", text)
            assert f"{100 * accepted / (accepted + refused):.1f} %" in text

    def test_the_fields_are_those_of_the_policy(
        self, workspace: Workspace, release: Path, tenants: list[Bundle]
    ) -> None:
        page = Page((release / "tenants" / tenants[0].tenant_key / publish.PAGE).read_bytes())
        fields = "select field from int_field_decisions where source_format = 'quorum' order by field"
        assert sorted(row[0] for row in page.tables["Fields"][1:]) == [
            field for (field,) in worlds.fetch(workspace, "restricted", fields)
        ]


class TestOperator:
    def test_it_tells_of_every_tenant_and_of_the_run(self, workspace: Workspace, benchmarked_night: Night) -> None:
        page = Page(workspace.operator_page.read_bytes())
        health = "select tenant_key, status from gov_tenant_health"
        rows = {row[0]: row[1] for row in page.tables["State of each tenant's data"][1:]}
        assert rows == dict(worlds.fetch(workspace, "restricted", health))
        [_, run] = page.tables["Runs"]
        assert run[1:4] == ["well", "20", benchmarked_night.report.published]
        assert f"{benchmarked_night.report.rows['accepted']:,}" in page.text
        assert "int_benchmark_figures" in page.text

    def test_nobody_else_can_read_it(self, workspace: Workspace) -> None:
        assert workspace.operator_page.stat().st_mode & 0o777 == 0o600
        assert not list(workspace.restricted.glob("*.new"))


@pytest.mark.parametrize("place", ["cross_tenant/index.html", "tenants/*/index.html"])
def test_a_page_names_nothing_that_is_elsewhere(release: Path, place: str) -> None:
    for file in list(release.glob(place))[:3]:
        content = re.sub(rb'id="sealed">[^<]*<', b"<", file.read_bytes())
        assert re.search(rb"https?:|['\"(]//", content) is None
        page = Page(content)
        for link in page.links():
            assert link == "data:," or link.startswith("#") or (file.parent / link).is_file(), link
        ids = {attributes.get("id") for _, attributes in page.tags}
        assert {link[1:] for link in page.links() if link.startswith("#")} <= ids


def test_another_template_publishes_once(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = worlds.copied(workspace, tmp_path / "copy")
    before = (copy.published / "current").resolve()
    published = Published.of(Dbt(copy).manifest())
    budgets = losses.of_newest_periods(Ledger.open(copy.ledger_url))
    facts: dict[str, Any] = {
        "privacy": release_folders.manifest(copy.published / "current" / release_folders.CROSS_TENANT)["privacy"]
    }
    tenants = bundles.of_tenants(copy, Keyring.open(copy.keyring))[:3]

    def again() -> str | None:
        publication = publish.Publication(copy, published, facts, budgets)
        publication.build(tenants, (), (), worlds.silent)
        return publication.publish()

    assert again(), "of 44 bundles 41 are gone"
    assert again() is None
    monkeypatch.setattr(rendering, "version", lambda: "another")
    assert again()
    assert again() is None
    folder = release_folders.current(copy)
    assert folder
    public = Path(release_folders.CROSS_TENANT) / publish.PAGE
    assert (folder / public).samefile(before / public), "what did not change is a link"
    assert release_folders.verify(copy)


def test_a_tenants_page_is_not_about_others(workspace: Workspace, tenants: list[Bundle], tmp_path: Path) -> None:
    """What it is made of is there, and the same, where nobody else is."""
    copy = worlds.copied(workspace, tmp_path / "alone")
    own = tenants[0]
    published = Published.of(Dbt(copy).manifest())
    with rows_of(copy) as connection:
        before = TenantPages.of(connection, copy, published, [each.tenant_key for each in tenants]).check(own)
    others = "delete from {} where tenant_key <> ?"
    for plane, relations in (
        ("restricted", ["gov_tenant_health_days"]),
        ("tenant", ["mart_tenant_daily", "mart_tenant_features"]),
    ):
        with warehouse.opened(copy, plane) as connection:
            for relation in relations:
                connection.execute(others.format(relation), [own.tenant_key])
    with rows_of(copy) as connection:
        assert TenantPages.of(connection, copy, published, [own.tenant_key]).check(own) == before
    with warehouse.opened(copy, "tenant") as connection:
        connection.execute("update mart_tenant_daily set weekly_active_users = weekly_active_users + 1")
    with rows_of(copy) as connection:
        assert TenantPages.of(connection, copy, published, [own.tenant_key]).check(own) != before


def test_a_key_is_base64_of_32_bytes(tenants: list[Bundle]) -> None:
    assert {len(base64.b64decode(each.key)) for each in tenants} == {32}
