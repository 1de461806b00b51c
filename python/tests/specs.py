"""Releases as they could be declared, for tests to change what they are about."""

from decimal import Decimal
from typing import Any

from quorum.metrics import Metric
from quorum.policy import Spec, resolve

SPEC = Spec(
    name="usage",
    population="users",
    owner="somebody",
    unit="one user",
    period="week",
    lookback_days=0,
    segments=(),
    levels=("industry", "all"),
    rho_atoms=Decimal("0.02"),
    rho_parents=Decimal("0.01"),
    history=4,
    min_tenants=5,
    tenant_cap=50,
    atom_min_contributors=20,
    delta=Decimal("1e-7"),
    gate_z=Decimal("5.6"),
    tolerance_points=Decimal(6),
    metrics=(Metric("adoption", "distinct_users", "a share", keys=("export", "search", "share"), max_cells=3),),
)

DECLARED_SELECTION: dict[str, Any] = {
    "name": "page_keys",
    "population": "users",
    "owner": "somebody",
    "unit": "one user",
    "default_period": "week",
    "periods": {"week": {"rho_atoms": "0.005", "history": 2}},
    "min_tenants": 5,
    "tenant_cap": 10,
    "delta": "1e-7",
    "gate_z": "5.6",
    "metrics": [{"name": "pages", "kind": "keys", "max_cells": 3, "estimand": "pages"}],
}
SELECTION = resolve(DECLARED_SELECTION, {})
