"""The release step: what is due, what it costs, and the answers that the released plane holds.

Reserve, noise, store, commit. The ledger keeps the answers; the released plane is a copy of them that can be
made again at any time, and nothing else ever reaches it.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa

from quorum import mechanisms, warehouse
from quorum.budget import Budget, BudgetExhausted, Cost, Slot
from quorum.hash_chain import digest
from quorum.ledger import Answer, Gate, Ledger
from quorum.measurement import ADOPTERS, COUNT, Cells, Plan, cells_from, measure, refused
from quorum.policy import Spec
from quorum.workspace import Workspace

SLOTS = pa.schema(
    [
        ("answer_id", pa.string()),
        ("release", pa.string()),
        ("is_answered", pa.bool_()),
        ("period", pa.string()),
        ("period_start", pa.date32()),
        ("period_end", pa.date32()),
        ("unit", pa.string()),
        ("mechanism", pa.string()),
        ("estimand", pa.string()),
        ("rho", pa.float64()),
        ("epsilon", pa.float64()),
        ("delta", pa.float64()),
        ("tolerance_points", pa.float64()),
        ("policy_version", pa.string()),
    ]
)
VALUES = pa.schema(
    [
        ("answer_id", pa.string()),
        ("cohort_level", pa.string()),
        ("cohort_key", pa.string()),
        ("cohort_industry", pa.string()),
        ("cohort_region", pa.string()),
        ("cohort_size_band", pa.string()),
        ("metric", pa.string()),
        ("key", pa.string()),
        ("is_eligible", pa.bool_()),
        ("value", pa.float64()),
        ("sigma", pa.float64()),
    ]
)
PERIODS = pa.schema(
    [
        ("release", pa.string()),
        ("period_start", pa.date32()),
        ("period_end", pa.date32()),
        ("previous_start", pa.date32()),
        ("max_cells", pa.int64()),
        ("tenant_cap", pa.int64()),
        ("value_scale", pa.int64()),
        ("count_scale", pa.int64()),
        ("min_tenants", pa.int64()),
        ("atom_min_contributors", pa.int64()),
    ]
)
KEYS = pa.schema([("release", pa.string()), ("key", pa.string())])


@dataclass(frozen=True)
class Due:
    """A release and a closed period that has no answer yet, with the bound and the noise that it will get."""

    spec: Spec
    start: date
    end: date
    keys: tuple[str, ...]
    plan: Plan
    policy: str

    @property
    def slot(self) -> Slot:
        spec = self.spec
        return Slot(
            spec.population,
            spec.name,
            spec.period,  # type: ignore[arg-type]  # Spec allows exactly the ledger's periods
            self.start,
            self.end,
            spec.digest(list(self.keys)),
            self.policy,
        )

    @property
    def delta_gate(self) -> Decimal:
        # rounded up: a cost may be told too high, never too low
        return Decimal(self.plan.delta_gate).quantize(Decimal("1e-12"), rounding="ROUND_UP")


@dataclass(frozen=True)
class Outcome:
    """What became of one due release: its answer, or the reason why the budget refused it."""

    due: Due
    payload: dict[str, Any]
    refused: BudgetExhausted | None = None

    @property
    def refusal(self) -> str | None:
        return str(self.refused) if self.refused else None


def due_releases(ledger: Ledger, specs: list[Spec], keys: list[str], as_of: date, policy: str) -> list[Due]:
    """Return what has no answer yet. A period that was ever answered stays closed, whatever changed since."""
    due = []
    for declared in specs if keys else []:  # formats without a public feature leave nothing to ask
        spec = declared.bounded(len(keys))
        answered = {(a.slot.period, a.slot.start) for a in ledger.answers(spec.name)}
        plan = Plan.of(spec, len(keys))
        due += [
            Due(spec, start, end, tuple(keys), plan, policy)
            for start, end in spec.periods(as_of)
            if (spec.period, start) not in answered
        ]
    return due


def write_control(workspace: Workspace, due: list[Due]) -> None:
    """Tell SQL which periods are due and how to bound them: the same numbers that the noise is scaled to."""
    periods = [
        {
            "release": d.spec.name,
            "period_start": d.start,
            "period_end": d.end,
            "previous_start": d.start - (d.end - d.start),
            "max_cells": d.spec.max_cells,
            "tenant_cap": d.spec.tenant_cap,
            "value_scale": d.spec.value_scale,
            "count_scale": d.plan.count_scale,
            "min_tenants": d.spec.min_tenants,
            "atom_min_contributors": d.spec.atom_min_contributors,
        }
        for d in due
    ]
    keys = [{"release": name, "key": key} for name, key in sorted({(d.spec.name, k) for d in due for k in d.keys})]
    with warehouse.opened(workspace, "cross_tenant") as connection:
        warehouse.replace(connection, "release_periods", pa.Table.from_pylist(periods, PERIODS))
        warehouse.replace(connection, "release_keys", pa.Table.from_pylist(keys, KEYS))


def answer(workspace: Workspace, ledger: Ledger, budgets: dict[str, Budget], due: list[Due]) -> list[Outcome]:
    """Answer what is due, oldest first, as far as the budgets go."""
    return [_answer_one(workspace, ledger, budgets[each.spec.population], each) for each in due]


def _answer_one(workspace: Workspace, ledger: Ledger, budget: Budget, due: Due) -> Outcome:
    spec, slot = due.spec, due.slot
    cells, cohort_map = _read_cells(workspace, due)
    drawn = ledger.eligible(spec.population, slot.period, due.start, cohort_map)
    cost = Cost(spec.rho, due.delta_gate if drawn is None else Decimal(0))
    privacy = _privacy(spec, due)  # before anything is spent: it can still be refused
    try:
        reservation = ledger.reserve(slot, cost, budget)
    except BudgetExhausted as exhausted:
        return Outcome(due, refused(spec, cells) | privacy, exhausted)
    eligible, figures = measure(spec, due.plan, cells, drawn)
    gate = Gate(cohort_map, eligible) if drawn is None else None
    return Outcome(due, ledger.commit(reservation, figures | privacy, gate).payload)


def _read_cells(workspace: Workspace, due: Due) -> tuple[Cells, str]:
    with warehouse.opened(workspace, "cross_tenant", read_only=True) as connection:
        rows = warehouse.rows(
            connection,
            f"select cohort_key, metric, key, value from dp_{due.spec.name} where period_start = ?",
            [due.start],
        )
        atoms = warehouse.rows(
            connection, "select * from cohort_atoms where period_start = ? order by cohort_key", [due.start]
        )
        members = warehouse.rows(
            connection,
            "select tenant_key, cohort_key from cohort_tenants "
            "where period_start = ? and listing <> 'unlisted' order by tenant_key",
            [due.start],
        )
    cells = cells_from(rows, atoms, due.keys)
    # a gate is drawn for one map and one quorum: another quorum, or another atom withheld, is another draw
    quorum = [due.spec.min_tenants, due.spec.tenant_cap]
    return cells, digest([quorum, sorted(cells.in_transition), [list(member.values()) for member in members]])


def _privacy(spec: Spec, due: Due) -> dict[str, Any]:
    """Return what every row of the answer says of itself; rho and delta are exact decimals as text."""
    return {
        "unit": spec.unit,
        "estimand": spec.estimand,
        "rho": str(spec.rho),
        "epsilon": mechanisms.epsilon(spec.rho, float(spec.delta - due.delta_gate)),
        "delta": str(spec.delta),
        "tolerance_points": float(spec.tolerance_points),
        "policy_version": due.policy,
    }


def write_answers(workspace: Workspace, answers: list[Answer], outcomes: list[Outcome]) -> None:
    """Copy the ledger's answers, and an empty one for each refusal, into the released plane."""
    slots, values = [], []
    for each in answers:
        slots.append(_slot_row(each.id, True, each.slot, each.payload))
        values += _value_rows(each.id, each.payload)
    for outcome in outcomes:
        if outcome.refusal is not None:
            slot = outcome.due.slot
            # not an answer, so no random id; the period names it, the same on every try
            placeholder = f"refused {slot.release} {slot.period} {slot.start}"
            slots.append(_slot_row(placeholder, False, slot, outcome.payload))
            values += _value_rows(placeholder, outcome.payload)
    with warehouse.opened(workspace, "released") as connection:
        warehouse.replace(connection, "answer_slots", pa.Table.from_pylist(slots, SLOTS))
        warehouse.replace(connection, "answer_values", pa.Table.from_pylist(values, VALUES))


def _slot_row(answer_id: str, is_answered: bool, slot: Slot, payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "answer_id": answer_id,
        "release": slot.release,
        "is_answered": is_answered,
        "period": slot.period,
        "period_start": slot.start,
        "period_end": slot.end,
        **{name: payload[name] for name in ("unit", "mechanism", "estimand", "epsilon", "tolerance_points")},
        **{name: float(payload[name]) for name in ("rho", "delta")},
        "policy_version": payload["policy_version"],
    }


def _value_rows(answer_id: str, payload: dict[str, Any]) -> list[dict[str, Any]]:
    metrics = [(COUNT, None)] + [(ADOPTERS, key) for key in payload["keys"]]
    nothing = [None] * len(metrics)
    return [
        {
            "answer_id": answer_id,
            "cohort_level": cohort["level"],
            "cohort_key": cohort["key"],
            "cohort_industry": cohort["industry"],
            "cohort_region": cohort["region"],
            "cohort_size_band": cohort["size_band"],
            "metric": metric,
            "key": key,
            "is_eligible": cohort["eligible"],
            "value": value,
            "sigma": sigma,
        }
        for cohort in payload["cohorts"]
        for (metric, key), value, sigma in zip(
            metrics, cohort["values"] or nothing, cohort["sigmas"] or nothing, strict=True
        )
    ]
