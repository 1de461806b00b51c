"""What dbt's manifest says of the relations that are published: their columns, grains and meaning."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quorum.errors import BadInput

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

BENCHMARKS = "mart_benchmarks"  # every figure of every release; the others are views of some
METRIC_CATALOG = "metric_catalog"
VS_BENCHMARK = "mart_tenant_vs_benchmark"  # the one mart of a tenant in which others have a part
TENANT_MARTS = ["marts", "tenant"]  # folders below models/
BENCHMARK_MARTS = ["marts", "benchmarks"]


@dataclass(frozen=True)
class Column:
    """A column as the contract has it; ``required`` where it may not be NULL."""

    name: str
    data_type: str
    meaning: str
    required: bool


@dataclass(frozen=True)
class Relation:
    """A mart or seed; ``grain`` are the columns that together name one row."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    grain: tuple[str, ...]


@dataclass(frozen=True)
class Published:
    """All that is published: a tenant's marts by name, the catalog of what they measure, and the benchmarks."""

    of_tenants: tuple[Relation, ...]
    metric_catalog: Relation
    benchmarks: tuple[Relation, ...]

    @property
    def names(self) -> list[str]:
        """The names of a tenant's marts."""
        return [mart.name for mart in self.of_tenants]

    @classmethod
    def of(cls, manifest: "Manifest") -> "Published":
        """Find them: each tenant gets every model of ``models/marts/tenant``, everybody those of ``benchmarks``."""
        tests = [node for node in manifest.nodes.values() if getattr(node, "test_metadata", None)]
        grains = {
            test.attached_node: tuple(test.test_metadata.kwargs["columns"])
            for test in tests
            if test.test_metadata.name == "unique_key"
        }
        relations = {
            node.name: Relation(
                node.name,
                node.description,
                tuple(_column(column) for column in node.columns.values()),
                grains.get(node.unique_id, ()),
            )
            for node in manifest.nodes.values()
            if node.resource_type in ("model", "seed")
        }
        models = [node for node in manifest.nodes.values() if node.resource_type == "model"]
        names = sorted(model.name for model in models if model.fqn[1:3] == TENANT_MARTS)
        benchmarks = sorted(model.name for model in models if model.fqn[1:3] == BENCHMARK_MARTS)
        for name in names:
            # a bundle takes its tenant's rows by it
            if relations[name].grain[:1] != ("tenant_key",):
                raise BadInput(f"{name}: a tenant's mart has a unique_key test whose first column is tenant_key")
        return cls(
            tuple(relations[name] for name in names),
            relations[METRIC_CATALOG],
            tuple(relations[name] for name in benchmarks),
        )


def _column(column: Any) -> Column:
    required = any(constraint.type == "not_null" for constraint in column.constraints)
    return Column(column.name, column.data_type or "", column.description, required)
