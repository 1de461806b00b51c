"""``quorum plan``: what the next run would release, what it costs, and how good it would be. Spends nothing."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from quorum import (
    anchors,
    budget_split,
    figures,
    key_selection,
    losses,
    mechanisms,
    public_keys,
    release,
    room,
    rules,
)
from quorum.budget import DAYS, WINDOWS, BudgetExhausted, Slot, is_nearly_spent, label, next_start, total
from quorum.errors import BadInput
from quorum.ledger import Ledger
from quorum.looks import Look
from quorum.measurement import Plan
from quorum.policy import ATOM
from quorum.runner import Dbt
from quorum.workspace import Workspace

NOTHING_YET = "nothing is built yet: `quorum run` comes first, the catalog of features with it"


def plan(workspace: Workspace, as_of: date) -> dict[str, Any]:
    """Return the due releases with their noise, the budgets before and after them, and what outruns these."""
    if not workspace.plane("tenant").exists():
        raise BadInput(NOTHING_YET)
    policies = rules.load_policies(workspace, Dbt(workspace), as_of)
    ledger = anchors.known_ledger(workspace)
    keys = public_keys.key_sets(workspace)
    known = _known_keys(ledger, policies, keys)
    due = release.due_releases(ledger, policies.specs, keys, as_of, policies.version)
    refused = room.refused(ledger, policies.budgets, due)
    budgets = _budgets(ledger, policies, due)
    return {
        "as_of": as_of,
        "due": [_describe(each) | {"fits": each.slot not in refused} for each in due],
        "waits_for_keys": [spec.name for spec in policies.specs if spec.layout(known).is_empty],
        "budgets": budgets,
        "split": _split(policies, known),
        "outruns": _outrun(due, refused),
        "warnings": [
            losses.nearly_spent(
                row["population"],
                row["window"],
                total((row["spent"], row["asked"])),
                row["limit"],
                row["refreshes"],
                "would have lost",
            )
            for row in budgets
            if row["warning"] and row["fits"]  # what does not fit is told apart
        ],
    }


def of_look(
    workspace: Workspace, policies: rules.Policies, look: Look, known: Mapping[str, Sequence[str]], as_of: date
) -> dict[str, Any]:
    """Return what a period of a deeper look would cost and show, and why there is no room for what is due of it.

    It comes after all that is in force, as in a run; ``known`` are the keys by now. Spends nothing.
    """
    ledger = anchors.known_ledger(workspace)
    keys = public_keys.key_sets(workspace)
    layout = look.layout(known)
    length = timedelta(days=DAYS[look.period])
    one = release.Due(look, look.first, look.first + length, layout, Plan.of(look, layout), policies.version)
    due = release.due_releases(ledger, [*policies.specs, look], keys, as_of, policies.version)
    mine = [each for each in due if each.spec.name == look.name]
    in_order = [*(each for each in due if each not in mine), *mine]
    refused = room.refused(ledger, policies.budgets, in_order)
    of_look = {each.slot: refused[each.slot] for each in mine if each.slot in refused}
    return {
        **{name: value for name, value in _describe(one).items() if name not in ("period_start", "population")},
        "periods": (look.last - look.first + timedelta(days=1)) // length,
        "closed_periods": len(mine),
        "until": look.until,
        "no_room": _outrun(mine, of_look),
    }


def known_keys(workspace: Workspace, policies: rules.Policies) -> Mapping[str, Sequence[str]]:
    """Return the sets of keys that metrics may name, as they are now."""
    if not workspace.plane("tenant").exists():
        raise BadInput(NOTHING_YET)
    return _known_keys(anchors.known_ledger(workspace), policies, public_keys.key_sets(workspace))


def _known_keys(
    ledger: Ledger, policies: rules.Policies, key_sets: Mapping[str, Sequence[str]]
) -> Mapping[str, Sequence[str]]:
    """Return the public sets of keys, and what was selected so far."""
    given = [each for spec in policies.specs if spec.is_selection for each in ledger.answers(spec.name)]
    return {**key_selection.known(policies.specs, given, date.max), **key_sets}


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


def _split(policies: rules.Policies, keys: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Return what each release declares, and what it would get of a week by the errors that all of them want."""
    rows = []
    for population, budget in sorted(policies.budgets.items()):
        theirs = [spec for spec in policies.specs if spec.population == population and spec.source == spec.name]
        found = budget_split.of_a_week(theirs, keys, budget.limits["week"]) if "week" in budget.limits else None
        for spec in theirs if found else []:
            levels = found[spec.name] if found else {}
            rows.append(
                {
                    "population": population,
                    "release": spec.name,
                    "rho_atoms": spec.rho_atoms,
                    "rho_parents": spec.rho_parents,
                    "rho_atoms_by_want": levels[ATOM],
                    "rho_parents_by_want": total(levels[level] for level in spec.levels),
                }
            )
    return rows


def _budgets(ledger: Ledger, policies: rules.Policies, due: list[release.Due]) -> list[dict[str, Any]]:
    """Return spent, asked and left per population and window that a due period falls into.

    What a run that died has reserved for the same question is spent, and not asked for again.
    """
    rows = []
    paid = room.paid(ledger)
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
                        "warning": is_nearly_spent(window, spent + asked, limit),
                        "refreshes": next_start(window, day),
                    }
                )
    return rows


def _outrun(due: list[release.Due], refused: dict[Slot, BudgetExhausted]) -> str | None:
    """Say in one line how much of what is due fits, and what the first that does not would need."""
    if not refused:
        return None
    slot, exhausted = next(iter(refused.items()))
    left = exhausted.limit - exhausted.spent
    [window] = [window for window in WINDOWS if label(window, slot.start) == exhausted.window]
    return (
        f"the plan outruns its budget: {len(due) - len(refused)} of {len(due)} fit in this order; {slot.release} "
        f"{slot.start} asks rho {exhausted.asked} where {slot.population} has {left} left in {exhausted.window}, "
        + (f"so rho {left} would fit; " if left > 0 else "so none would fit; ")
        + losses.freed(next_start(window, slot.start))
    )
