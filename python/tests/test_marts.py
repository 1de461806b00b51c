"""What the models promise of what is published: each figure has a meaning, each bundle has every mart."""

import csv
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from quorum import lineage
from quorum.errors import BadInput
from quorum.marts import METRIC_CATALOG, TENANT_MARTS, VS_BENCHMARK, Published, Relation
from quorum.runner import Dbt
from quorum.settings import project_directory
from quorum.workspace import Workspace

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

NUMBER = r"(tiny|small|big|huge)?int(eger)?|double|float|real|(decimal|numeric)\(.*\)"
# What a digest can read: the text of a value says all of it.
SCALAR = rf"{NUMBER}|boolean|varchar|date|timestamp"

# An end that is left open.
BOUNDS = {"minimum": "-Infinity", "maximum": "Infinity"}

Row = dict[str, str]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> "Manifest":
    return Dbt(Workspace(tmp_path_factory.mktemp("parsed"))).manifest()


@pytest.fixture(scope="module")
def published(manifest: "Manifest") -> Published:
    return Published.of(manifest)


@pytest.fixture(scope="module")
def catalog() -> list[Row]:
    with (project_directory() / "seeds" / "reference" / f"{METRIC_CATALOG}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def privacy_class(mart: Relation, column: str) -> str:
    """Return the class of a figure in a tenant's mart: exact, unless others have a part in it."""
    own = mart.name != VS_BENCHMARK or column.startswith("tenant_")
    return "tenant_exact" if own else "tenant_vs_benchmark"


def faults(published: Published, catalog: Iterable[Row]) -> Iterator[str]:
    """Yield what is missing in the catalog, too much, or cannot be."""
    rows = {(row["mart"], row["metric"]): row for row in catalog}
    metrics = {
        (mart.name, column.name): privacy_class(mart, column.name) if mart in published.of_tenants else "benchmark_dp"
        for mart in (*published.of_tenants, *published.benchmarks)
        for column in mart.columns
        if re.fullmatch(NUMBER, column.data_type) and column.name not in mart.grain
    }
    yield from (f"{mart}.{metric} is not in the catalog" for mart, metric in metrics.keys() - rows.keys())
    yield from (f"{mart}.{metric} is no metric of a mart" for mart, metric in rows.keys() - metrics.keys())
    for (mart, metric), row in rows.items():
        name = f"{mart}.{metric}"
        if metrics.get((mart, metric), row["privacy_class"]) != row["privacy_class"]:
            yield f"{name} is of another class"
        for end in ("low", "high"):
            if rows.get((mart, f"{metric}_{end}"), row)["unit"] != row["unit"]:
                yield f"{name} has another unit than its interval"
        try:
            minimum, maximum = (Decimal(row[bound] or default) for bound, default in BOUNDS.items())
        except InvalidOperation:
            yield f"{name} has no range that can be read"
        else:
            if not minimum <= maximum:
                yield f"{name} has a range that nothing lies in"
            if row["unit"] == "share" and not (minimum == 0 and maximum == 1):
                yield f"{name} is a share and not between 0 and 1"


def test_every_metric_is_in_the_catalog_and_nothing_else(published: Published, catalog: list[Row]) -> None:
    assert sorted(faults(published, catalog)) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (None, ["is not in the catalog"]),
        ({"metric": "stickyness"}, ["is not in the catalog", "is no metric of a mart"]),
        ({"metric": "stickiness_state"}, ["is not in the catalog", "is no metric of a mart"]),
        ({"minimum": "none"}, ["has no range that can be read"]),
        ({"minimum": "1", "maximum": "0", "unit": "users"}, ["has a range that nothing lies in", "has another unit"]),
        ({"maximum": ""}, ["is a share and not between 0 and 1"]),
        ({"privacy_class": "benchmark_dp"}, ["is of another class"]),
    ],
)
def test_a_fault_in_the_catalog_is_found(
    published: Published, catalog: list[Row], change: Row | None, found: list[str]
) -> None:
    [row] = [row for row in catalog if row["metric"] == "stickiness"]
    others = [other for other in catalog if other is not row]
    told = set(faults(published, others if change is None else [*others, row | change])) - set(
        faults(published, catalog)
    )
    assert all(fault.startswith("mart_tenant_daily.stick") for fault in told)
    assert {expected for expected in found if any(expected in fault for fault in told)} == set(found)
    assert len(told) == len(found)


def test_whoever_reads_a_mart_is_told_what_it_means(published: Published) -> None:
    for relation in (*published.of_tenants, published.metric_catalog, *published.benchmarks):
        assert relation.meaning.startswith("One row per ")
        assert not [column.name for column in relation.columns if not column.meaning]


def test_a_digest_can_read_every_column(published: Published) -> None:
    columns = [(mart.name, column) for mart in published.of_tenants for column in mart.columns]
    assert not [(mart, column.name) for mart, column in columns if not re.fullmatch(SCALAR, column.data_type)]


def test_the_bundles_depend_on_every_mart_of_a_tenant(manifest: "Manifest", published: Published) -> None:
    [exposure] = [each for each in manifest.exposures.values() if each.name == "tenant_bundles"]
    names = sorted(manifest.nodes[node].name for node in exposure.depends_on.nodes)
    assert names == sorted([METRIC_CATALOG, *published.names])
    files = (project_directory() / "models" / Path(*TENANT_MARTS)).glob("*.sql")
    assert published.names == sorted(file.stem for file in files)


def test_one_mart_of_a_tenant_has_to_do_with_others_and_it_is_made_of_nothing_else(manifest: "Manifest") -> None:
    compared = {name for name in manifest.sources if name.startswith("source.quorum.comparisons.")}
    readers = [node for node in manifest.nodes.values() if compared & set(getattr(node, "depends_on_nodes", ()))]
    [mart] = [node for node in readers if node.resource_type == "model"]
    assert mart.name == VS_BENCHMARK
    assert set(mart.depends_on_nodes) <= compared


PAGES = {"benchmark_page", "tenant_pages", "operator_page"}
RAW = "source.quorum.landing.landing_work"


def test_every_mart_and_page_is_shown_somewhere(manifest: "Manifest", published: Published) -> None:
    shown = {
        manifest.nodes[node].name
        for each in manifest.exposures.values()
        for node in each.depends_on.nodes
        if node in manifest.nodes
    }
    assert {*published.names, *(mart.name for mart in published.benchmarks)} <= shown
    assert {exposure.name for exposure in manifest.exposures.values()} >= PAGES
    assert all(exposure.owner.name and exposure.description for exposure in manifest.exposures.values())


def test_lineage_goes_from_what_is_shown_to_the_raw_rows(manifest: "Manifest", monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the noise, which dbt knows nothing of, and through what is private."""
    for name, exposure in manifest.exposures.items():
        found = lineage.upstream(manifest, name)
        assert RAW in found, name
        named = exposure.config.meta.get("also_of", [])
        assert {*named} <= {manifest.nodes[node].name for node in found if node in manifest.nodes}, name
    benchmarks = next(name for name in manifest.exposures if name.endswith("benchmark_page"))
    assert "model.quorum.dp_retention" in lineage.upstream(manifest, benchmarks)
    for source in manifest.sources.values():
        monkeypatch.setitem(source.config.meta, "made_of", None)
    assert RAW not in lineage.upstream(manifest, benchmarks), "else the first part would find nothing"


def test_the_lineage_that_is_shown_is_in_the_order_of_the_night(manifest: "Manifest") -> None:
    [page] = [each for each in lineage.of_exposures(manifest) if each.name == "benchmark_page"]
    assert page.direct == ["mart_benchmark_catalog", "mart_benchmarks"]
    order = ["source", "seed", "staging", "redaction", "tenant", "cross_tenant", "release", "released", "marts"]
    assert list(page.layers) == order
    assert page.layers["released"] == ["int_benchmark_figures"]


def test_a_mart_that_cannot_be_cut_by_tenant_is_refused(manifest: "Manifest", monkeypatch: pytest.MonkeyPatch) -> None:
    [test] = [
        node
        for node in manifest.nodes.values()
        if getattr(node, "test_metadata", None) and node.name.startswith("unique_key_mart_tenant_daily")
    ]
    arguments = test.test_metadata.kwargs
    for columns in (["activity_date", "tenant_key"], []):
        monkeypatch.setitem(arguments, "columns", columns)
        with pytest.raises(BadInput, match="mart_tenant_daily"):
            Published.of(manifest)
