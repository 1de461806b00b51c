"""What the commands found: figures gathered into plain dictionaries, for words or JSON to be made of."""

from typing import Any

from quorum import health, landing, losses, nightly, release_folders, rollback, warehouse
from quorum.bundles import Bundle
from quorum.errors import BadInput
from quorum.keyring import Keyring
from quorum.ledger import Ledger
from quorum.workspace import Workspace


def of_run(workspace: Workspace, report: nightly.Report) -> dict[str, Any]:
    """Return what a run took in, released, withheld and published."""
    answered = [o for o in report.outcomes if o.refusal is None]
    return {
        "as_of": report.as_of,
        "rows": report.rows,
        "quarantined_by_reason": report.reasons,
        "tenants": report.tenants,
        "releases": [
            {
                "release": o.due.spec.name,
                "period": o.due.spec.period,
                "period_start": o.due.start,
                "rho": o.payload["rho"],
                "epsilon": round(o.payload["epsilon"], 3),
                "delta": o.payload["delta"],
            }
            for o in answered
        ],
        "refused": [o.refusal for o in report.outcomes if o.refusal is not None],
        "waiting": report.waiting,
        "benchmark_rows": report.statuses,
        "published": report.published,
        "head": report.head,
        "bundles": report.bundles,
        "open": workspace.published / "current",
        "development_key": report.development_key,
        "warnings": _earlier(report) + losses.warnings(Ledger.open(workspace.ledger_url)),
        "problems": landing.told(report.problems),
        "withheld": [f"tenant {tenant}: {reason}" for tenant, reason in report.withheld.items()],
        "highlights": _highlights(workspace),
        "bundle": _one_bundle(workspace),
    }


def _earlier(report: nightly.Report) -> list[str]:
    """Say so where the day that was asked for is before that of the run before."""
    if report.last_as_of is None or report.as_of >= report.last_as_of:
        return []
    return [
        f"as of {report.as_of}, and the run before was as of {report.last_as_of}: tenants' pages show no day after it"
    ]


def _highlights(workspace: Workspace) -> list[dict[str, Any]]:
    """Return the newest released shares with the largest differences between cohorts, from the mart."""
    with warehouse.opened(workspace, "released", read_only=True) as connection:
        return warehouse.rows(
            connection,
            """
            with newest as (
                select * from mart_benchmark_features
                where status = 'released' and period_start = (select max(period_start) from mart_benchmark_features)
            ),
            spread as (
                select feature, max(adoption_share) - min(adoption_share) as spread
                from newest group by feature order by spread desc, feature limit 1
            )
            select cohort_level, cohort_key, feature, round(adoption_share, 3) as adoption_share,
                round(adoption_share_low, 3) as low, round(adoption_share_high, 3) as high
            from newest semi join spread using (feature)
            order by cohort_level desc, adoption_share desc limit 8
            """,
        )


def _one_bundle(workspace: Workspace) -> str | None:
    folder = release_folders.current(workspace)
    bundles = sorted((folder / "tenants").glob("*")) if folder else []
    return bundles[0].name if bundles else None


def of_status(workspace: Workspace) -> dict[str, Any]:
    """Return the current release and the state of each tenant's data, the worst first."""
    folder = release_folders.current(workspace)
    if folder is None:
        raise BadInput("nothing is published yet: `quorum run` makes the first release")
    return {
        "published": folder.name,
        "open": workspace.published / "current",
        "benchmarks": release_folders.manifest(folder / release_folders.CROSS_TENANT)["relations"],
        "kept": rollback.kept(workspace),
        "tenants": health.of_tenants(workspace),
    }


def of_keys(workspace: Workspace, keyring: Keyring, tenant: str | None) -> dict[str, Any]:
    """Return who has keys; for one tenant, the key of its bundle and a line that opens it."""
    tenants = keyring.tenants()
    if tenant is None:
        return {"tenants": len(tenants), "development_key": keyring.development}
    tenant_key, key = keyring.of(tenant).tenant_key, keyring.bundle_key(tenant)
    folder = workspace.published / "current" / "tenants" / tenant_key
    # after a rotation the bundle of the last night still wants the key before this one
    key_check = release_folders.manifest(folder)["privacy"]["key_check"] if folder.is_dir() else None
    opens = key_check == Bundle(tenant_key, key).key_check
    return {"tenant_key": tenant_key, "bundle_key": key, "bundle": folder / "tenant.duckdb" if opens else None}
