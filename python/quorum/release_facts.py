"""What a release says of itself in its manifest: the day, the heads of both chains, and the privacy of its answers."""

from datetime import date
from typing import Any

from quorum import anchors
from quorum.ledger import Ledger
from quorum.rules import Policies
from quorum.workspace import Workspace


def of(workspace: Workspace, ledger: Ledger, policies: Policies, as_of: date) -> dict[str, Any]:
    """Return plain JSON; rho and delta are exact decimals as text."""
    return {
        "as_of": str(as_of),
        "chains": anchors.heads(workspace, ledger),
        "privacy": {
            "policy_version": policies.version,
            "ledger": ledger.identity,
            "ledger_entries": ledger.length,
            "releases": [
                {
                    "release": spec.name,
                    "period": spec.period,
                    "rho": str(spec.rho),
                    "delta": str(spec.delta),
                    "min_tenants": spec.min_tenants,
                    "tenant_cap": spec.tenant_cap,
                }
                for spec in policies.specs
            ],
        },
    }
