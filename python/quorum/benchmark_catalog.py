"""The privacy facts of each private metric, as the releases in force declare them; nothing here comes from data."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from quorum import figures, mechanisms, warehouse
from quorum.measurement import Plan
from quorum.policy import Spec
from quorum.rules import Policies
from quorum.workspace import Workspace

METRICS = pa.schema(
    [
        *((name, pa.string()) for name in ("release", "metric", "kind", "estimand", "owner", "unit", "population")),
        ("period", pa.string()),
        ("lookback_days", pa.int64()),
        ("segments", pa.string()),
        ("bounds", pa.string()),
        ("cells", pa.int64()),
        *((name, pa.float64()) for name in ("rho", "epsilon", "delta", "tolerance_points")),
        *((name, pa.int64()) for name in ("min_tenants", "tenant_cap", "least_eligible_users", "users_for_tolerance")),
        ("policy_version", pa.string()),
    ]
)


def write(workspace: Workspace, policies: Policies, key_sets: Mapping[str, Sequence[str]]) -> None:
    """Write one row per release and metric into the released plane."""
    rows = [row | {"policy_version": policies.version} for spec in policies.specs for row in _rows(spec, key_sets)]
    with warehouse.opened(workspace, "released") as connection:
        warehouse.replace(connection, "release_metrics", pa.Table.from_pylist(rows, METRICS))


def _rows(spec: Spec, key_sets: Mapping[str, Sequence[str]]) -> list[dict[str, object]]:
    layout = spec.layout(key_sets)
    if layout.is_empty:
        return []
    plan = Plan.of(spec, layout)
    blocks = {block.metric: block for block in layout.blocks}
    of_release = {
        "release": spec.name,
        "owner": spec.owner,
        "unit": spec.unit,
        "population": spec.population,
        "period": spec.period,
        "lookback_days": spec.lookback_days,
        "segments": ", ".join(spec.segments),
        "rho": float(spec.rho),
        "epsilon": mechanisms.epsilon(spec.rho, float(spec.delta) - plan.delta_gate),
        "delta": float(spec.delta),
        "tolerance_points": float(spec.tolerance_points),
        "min_tenants": spec.min_tenants,
        "tenant_cap": spec.tenant_cap,
        "least_eligible_users": plan.least_eligible_users(spec),
    }
    return [
        {
            **of_release,
            "metric": metric.name,
            "kind": metric.kind,
            "estimand": metric.estimand,
            "bounds": blocks[metric.name].bounds if metric.name in blocks else "",
            "cells": len(blocks[metric.name].cells) if metric.name in blocks else 0,
            "users_for_tolerance": figures.users_for(metric, layout, plan.atom_scale, float(spec.tolerance_points)),
        }
        for metric in spec.metrics
    ]
