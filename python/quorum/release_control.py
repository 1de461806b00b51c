"""What SQL is told about the releases that are due: the very numbers that the noise is scaled to."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from quorum import cohort_control, warehouse
from quorum.ledger import Answer
from quorum.policy import Spec
from quorum.workspace import Workspace

if TYPE_CHECKING:
    from quorum.release import Due

PERIODS = pa.schema(
    [
        ("release", pa.string()),
        ("measured_as", pa.string()),
        ("period_start", pa.date32()),
        ("period_end", pa.date32()),
        ("previous_start", pa.date32()),
        ("lookback_start", pa.date32()),
        ("tenant_cap", pa.int64()),
        ("count_scale", pa.int64()),
        ("min_tenants", pa.int64()),
        ("thin_below", pa.int64()),
    ]
)
BLOCKS = pa.schema(
    [
        ("release", pa.string()),
        ("period_start", pa.date32()),
        ("metric", pa.string()),
        ("bound", pa.string()),
        ("low", pa.int64()),
        ("high", pa.int64()),
        ("max_cells", pa.int64()),
        ("scale", pa.int64()),
        ("centre", pa.int64()),
    ]
)
CELLS = pa.schema(
    [
        ("release", pa.string()),
        ("period_start", pa.date32()),
        ("metric", pa.string()),
        ("key", pa.string()),
        ("position", pa.int64()),
        ("lower_edge", pa.int64()),
        ("upper_edge", pa.int64()),
    ]
)
SEGMENTS = pa.schema([("release", pa.string()), ("segment", pa.string())])


def write(workspace: Workspace, due: Sequence["Due"], specs: Iterable[Spec], answers: Sequence[Answer] = ()) -> None:
    """Write the relations of source ``cross_tenant_control`` (see models/_sources.yml).

    What is due is one round: a model and a period have one row. ``specs`` are all releases that are declared, due or
    not, and ``answers`` those that were given before: the cohort maps follow both.
    """
    bounds = cohort_control.Bounds.of(specs)
    periods = [
        {
            "release": each.spec.source,
            "measured_as": each.spec.name,
            "period_start": each.start,
            "period_end": each.end,
            "previous_start": each.previous_start,
            "lookback_start": each.lookback_start,
            "tenant_cap": each.spec.tenant_cap,
            "count_scale": each.plan.count_scale,
            "min_tenants": each.spec.min_tenants,
            "thin_below": bounds.thin_below,
        }
        for each in due
    ]
    blocks = [
        {
            "release": each.spec.source,
            "period_start": each.start,
            "metric": block.metric,
            "bound": block.bound,
            "low": block.low,
            "high": block.high,
            "max_cells": block.max_cells,
            "scale": block.scale,
            "centre": block.centre,
        }
        for each in due
        for block in each.layout.blocks
    ]
    cells = [
        {
            "release": each.spec.source,
            "period_start": each.start,
            "metric": cell.metric,
            "key": cell.key,
            "position": cell.position,
            "lower_edge": cell.lower,
            "upper_edge": cell.upper,
        }
        for each in due
        for cell in each.layout.cells
    ]
    named = {each.spec.source: each.spec.segments or (None,) for each in due}
    segments = [{"release": name, "segment": segment} for name, several in sorted(named.items()) for segment in several]
    with warehouse.opened(workspace, "cross_tenant") as connection:
        for name, rows, schema in (
            ("release_periods", periods, PERIODS),
            ("release_blocks", blocks, BLOCKS),
            ("release_cells", cells, CELLS),
            ("release_segments", segments, SEGMENTS),
        ):
            warehouse.replace(connection, name, pa.Table.from_pylist(rows, schema))
    cohort_control.write(workspace, due, bounds, answers)
