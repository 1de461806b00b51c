"""The dashboard of `docs/examples/dashboard`, over a published release: what it asks, what it draws, and the page."""

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pytest

from quorum import settings
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night

EXAMPLE = settings.project_directory() / "docs" / "examples" / "dashboard"
NEWEST = "(select max(period_start) from mart_benchmarks)"


@pytest.fixture(scope="module")
def workspace(benchmarked_night: Night) -> Workspace:
    return benchmarked_night.workspace


@pytest.fixture(scope="module")
def example() -> Iterator[dict[str, ModuleType]]:
    """The modules of the example by name, as Streamlit imports them: from the folder of the page."""
    with pytest.MonkeyPatch.context() as imports:
        imports.syspath_prepend(str(EXAMPLE))
        imports.setattr(sys, "dont_write_bytecode", True)
        yield {name: imported(name) for name in ("marts", "charts")}
        for name in ("marts", "charts"):
            del sys.modules[name]


def imported(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLE / f"{name}.py")
    assert spec
    assert spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def benchmarks(example: dict[str, ModuleType], workspace: Workspace) -> Any:
    marts = example["marts"]
    return marts.Benchmarks(marts.newest(workspace.published))


def named(benchmarks: Any, metric: str, key: str = "*") -> Any:
    [figure] = [each for each in benchmarks.figures() if (each.metric, each.metric_key) == (metric, key)]
    return figure


def test_it_asks_for_what_is_in_the_mart(workspace: Workspace, benchmarks: Any) -> None:
    figures = (
        "select distinct release, metric, metric_key, segment from mart_benchmarks where kind <> 'keys' order by all"
    )
    expected = worlds.fetch(workspace, "released", figures)
    found = [(each.release, each.metric, each.metric_key, each.segment) for each in benchmarks.figures()]
    assert found == expected

    rows = benchmarks.rows(named(benchmarks, "adoption", "search"))
    query = (
        "select cohort_key, status, estimate, estimate_low, estimate_high from mart_benchmarks "
        f"where metric = 'adoption' and metric_key = 'search' and period_start = {NEWEST} order by all"
    )
    columns = ["cohort_key", "status", "estimate", "estimate_low", "estimate_high"]
    newest = rows[rows.period_start == rows.period_start.max()][columns].astype(object)
    newest = newest.where(newest.notna(), None).sort_values("cohort_key")
    assert list(newest.itertuples(index=False, name=None)) == worlds.fetch(workspace, "released", query)
    assert set(rows.cohort) >= {"all cohorts", "retail", "retail · eu"}
    assert benchmarks.facts(named(benchmarks, "adoption", "search"))["min_tenants"] == 5


def test_no_estimate_is_drawn_without_its_interval(example: dict[str, ModuleType], benchmarks: Any) -> None:
    figure = named(benchmarks, "adoption", "search")
    rows = benchmarks.rows(figure)
    newest = rows[rows.period_start == rows.period_start.max()]
    spec = example["charts"].cohorts(newest, figure).to_dict()
    fields = [{axis["field"] for axis in layer["encoding"].values() if "field" in axis} for layer in spec["layer"]]
    assert any({"estimate_low", "estimate_high"} <= each for each in fields)
    assert any("estimate" in each for each in fields)
    [drawn] = spec["datasets"].values()
    assert {row["cohort"] for row in drawn} == set(newest[newest.status == "released"].cohort) != set(newest.cohort)
    assert all(row["estimate_low"] <= row["estimate"] <= row["estimate_high"] for row in drawn)


def test_it_follows_to_the_next_release_and_writes_into_none(
    example: dict[str, ModuleType], workspace: Workspace, tmp_path: Path
) -> None:
    marts = example["marts"]
    published = tmp_path / "published"
    shutil.copytree(workspace.published, published, symlinks=True)
    first = marts.newest(published)
    held = marts.Benchmarks(first)
    shutil.copytree(first, published / "releases" / "next")
    (published / "next").symlink_to(Path("releases") / "next")
    (published / "next").replace(published / "current")
    assert marts.newest(published) == (published / "releases" / "next").resolve() != first
    shutil.rmtree(first)
    assert held.figures() == marts.Benchmarks(marts.newest(published)).figures()
    with pytest.raises(duckdb.InvalidInputException, match="read-only"):
        held._rows("delete from mart_benchmarks")


def test_the_page_shows_a_figure_and_what_protects_users(
    workspace: Workspace, example: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    testing = pytest.importorskip("streamlit.testing.v1", reason="streamlit is not installed: the page is not opened")
    monkeypatch.setattr(sys, "argv", ["app.py", str(workspace.published)])
    page = testing.AppTest.from_file(str(EXAMPLE / "app.py"), default_timeout=60).run()
    assert not page.exception
    assert [each.label for each in page.metric] == ["Epsilon", "Delta", "Least contributors", "Tolerance"]
    first = page.title[0].value
    page.sidebar.selectbox[0].select("feature_usage").run()
    assert not page.exception
    assert page.title[0].value != first
    assert any("cohorts are withheld" in each.label for each in page.expander)
