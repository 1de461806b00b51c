"""The operator's page, ``restricted/index.html``: exact, and so for nobody else.

It is written anew by each run that ends well. Nothing of it is published.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from quorum import cohort_report, health, lineage, losses
from quorum.audit import AuditLog
from quorum.errors import BadInput
from quorum.hash_chain import Entry
from quorum.ledger import Ledger
from quorum.pages import benchmarks, rendering
from quorum.workspace import Workspace

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

RUNS_SHOWN = 30


def write(workspace: Workspace, run: Mapping[str, Any], ledger: Ledger, manifest: "Manifest") -> None:
    """Put a new page in the place of the old one; ``run`` is what the newest run did, in figures."""
    tenants = health.of_tenants(workspace)
    states = Counter(tenant["status"] for tenant in tenants)
    page = rendering.page(
        "operations.html",
        run=run,
        tenants=tenants,
        states={status: states[status] for status in health.STATUSES if states[status]},
        runs=runs(AuditLog(workspace).records()),
        budgets=[benchmarks.budget(row) for row in losses.of_newest_periods(ledger)],
        warnings=losses.warnings(ledger),
        cohorts=_cohorts(workspace),
        lineages=lineage.of_exposures(manifest),
        checked=sorted(file.name for file in (workspace.restricted / "data_docs").glob("*.html")),
    )
    new = workspace.operator_page.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(page)
        file.flush()
        os.fsync(file.fileno())
    new.replace(workspace.operator_page)


def runs(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return the last runs by the audit log, the newest first, each with what it decided, spent and released."""
    found: list[dict[str, Any]] = []
    for entry in entries:
        facts = entry.facts
        if entry.kind == "run_started":
            found.append({"as_of": facts["as_of"], "ended": "was cut off", "release": None, "answers": 0, "notes": []})
        elif not found:
            continue
        run: dict[str, Any] = found[-1]
        if entry.kind == "run_ended":
            run |= {"ended": "well", "release": facts["release"]}
        elif entry.kind == "run_failed":
            run |= {"ended": f"failed ({facts['error']})"}
        elif entry.kind == "charged":
            run["answers"] += 1
        elif entry.kind not in ("run_started", "anchor", "release_published"):
            run["notes"].append(rendering.words(entry.kind))
    for run in found:
        run["notes"] = [f"{note} {n} times" if n > 1 else note for note, n in Counter(run["notes"]).items()]
    return found[: -RUNS_SHOWN - 1 : -1]


def _cohorts(workspace: Workspace) -> dict[str, Sequence[Mapping[str, Any]]]:
    try:
        return cohort_report.of_cohorts(workspace)
    except BadInput:  # nothing is measured yet
        return {"cohorts": [], "quality": []}
