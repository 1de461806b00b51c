"""``quorum plan``: what the next run would release, what it costs, and how good it would be. Spends nothing."""

from datetime import date
from decimal import Decimal
from typing import Any

from quorum import figures, mechanisms, nightly, release, rules
from quorum.budget import WINDOWS, label, total
from quorum.errors import BadInput
from quorum.ledger import Ledger
from quorum.runner import Dbt
from quorum.workspace import Workspace


def plan(workspace: Workspace, as_of: date) -> dict[str, Any]:
    """Return the due releases with their noise, and the budgets before and after them."""
    if not workspace.plane("tenant").exists():
        raise BadInput("nothing is built yet: `quorum run` comes first, the catalog of features with it")
    policies = rules.load_policies(workspace, Dbt(workspace))
    ledger = Ledger.open(workspace.ledger_url)
    keys = nightly.key_sets(workspace)
    due = release.due_releases(ledger, policies.specs, keys, as_of, policies.version)
    return {
        "as_of": as_of,
        "due": [_describe(each) for each in due],
        "budgets": _budgets(ledger, policies, due),
    }


def _describe(due: release.Due) -> dict[str, Any]:
    spec, noise = due.spec, due.plan
    sigma = noise.atom_scale / noise.count_scale
    return {
        "release": spec.name,
        "period": spec.period,
        "period_start": due.start,
        "population": spec.population,
        "rho": spec.rho,
        "epsilon": round(mechanisms.epsilon(spec.rho, float(spec.delta - due.delta_gate)), 3),
        "delta": spec.delta,
        "lookback_days": spec.lookback_days,
        "active_users_sigma": round(sigma, 1),
        "least_eligible_users": noise.least_eligible_users(spec),
        "metrics": [
            {
                "metric": metric.name,
                "kind": metric.kind,
                "cells": sum(cell.metric == metric.name for cell in due.layout.cells),
                "users_for_tolerance": figures.users_for(
                    metric, due.layout, noise.atom_scale, float(spec.tolerance_points)
                ),
            }
            for metric in spec.metrics
        ],
    }


def _budgets(ledger: Ledger, policies: rules.Policies, due: list[release.Due]) -> list[dict[str, Any]]:
    """Return spent, asked and left per population and window that a due period falls into.

    What a run that died has reserved for the same question is spent, and not asked for again.
    """
    rows = []
    paid = [(each.slot, each.cost.rho) for each in ledger.unanswered()]
    for population, budget in sorted(policies.budgets.items()):
        theirs = [each for each in due if each.spec.population == population]
        for window in (w for w in WINDOWS if w in budget.limits):
            for name, day in sorted({label(window, each.start): each.start for each in theirs}.items()):
                spent = ledger.spent(population, window, day)
                asking = [each for each in theirs if (each.slot, each.spec.rho) not in paid]
                asked = total(each.spec.rho for each in asking if label(window, each.start) == name)
                limit = budget.limits[window]
                rows.append(
                    {
                        "population": population,
                        "window": name,
                        "limit": limit,
                        "spent": spent,
                        "asked": asked,
                        "left": max(limit - spent - asked, Decimal(0)),
                        "fits": spent + asked <= limit,
                    }
                )
    return rows
