"""The state of the tenants' data, as `quorum status` tells it. How it comes about is in models/governance/health."""

from collections import Counter
from typing import Any

from quorum import warehouse
from quorum.workspace import Workspace

# In the order in which they are looked into, the worst first.
STATUSES = ("silent", "late", "anomalous", "degraded", "ok")
SHOWN = 10


def of_tenants(workspace: Workspace) -> list[dict[str, Any]]:
    """Return what is known of each tenant, the worst first."""
    with warehouse.opened(workspace, "restricted", read_only=True) as connection:
        return warehouse.rows(
            connection,
            "select * from gov_tenant_health order by list_position(?, status), days_left, tenant_key",
            [list(STATUSES)],
        )


def headline(tenants: list[dict[str, Any]]) -> str:
    """Say how many tenants there are, in which states."""
    counts = Counter(tenant["status"] for tenant in tenants)
    states = ", ".join(f"{counts[status]:,} {status}" for status in STATUSES if counts[status])
    return f"{len(tenants):,} tenants: {states or 'none'}"


def worst(tenants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return of the worst tenants what tells why they are."""
    return [
        {
            "tenant_key": tenant["tenant_key"],
            "status": tenant["status"],
            "fresh_hours": tenant["freshness_hours"],
            "agreed_hours": tenant["freshness_sla_hours"],
            "p95_minutes_late": tenant["p95_lateness_minutes"],
            "quarantined": tenant["quarantined_share"],
            "volume": tenant["volume_state"],
            "retyped": tenant["retyped_properties"],
            "budget_left": f"{tenant['days_left']} of {tenant['days_allowed']} days",
        }
        for tenant in tenants[:SHOWN]
    ]
