"""Answers as the ledger keeps them, and as the released plane shows them.

A stored answer holds the noisy integers and all that is needed to read them: its layout, its metrics, and the standard
deviation of the noise of each level; that of a selection holds its keys. The released plane is made of stored answers
alone, and can be made again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa

from quorum import figures, warehouse
from quorum.bounding import Block, Cell, Layout
from quorum.budget import Slot
from quorum.key_selection import SELECTED
from quorum.measurement import MECHANISM, Plan
from quorum.metrics import Metric
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
        ("lookback_start", pa.date32()),
        ("unit", pa.string()),
        ("mechanism", pa.string()),
        ("rho", pa.float64()),
        ("epsilon", pa.float64()),
        ("delta", pa.float64()),
        ("tolerance_points", pa.float64()),
        ("policy_version", pa.string()),
    ]
)
Shown = tuple[str, Slot, Mapping[str, Any], bool]  # id, slot, payload, whether it was answered
_TEXTS = ("cohort_level", "cohort_key", "cohort_industry", "cohort_region", "cohort_size_band", "segment")
_NUMBERS = (
    "estimate",
    "estimate_low",
    "estimate_high",
    "error_points",
    "amount",
    "amount_sigma",
    "users",
    "users_sigma",
)
FIGURES = pa.schema(
    [
        ("answer_id", pa.string()),
        *((name, pa.string()) for name in (*_TEXTS, "metric", "kind", "estimand", "key")),
        ("is_eligible", pa.bool_()),
        *((name, pa.float64()) for name in _NUMBERS),
    ]
)


def payload(
    spec: Spec, layout: Layout, plan: Plan, cohorts: Sequence[Mapping[str, Any]], *, is_answered: bool
) -> dict[str, Any]:
    """Return an answer as JSON can hold it, but for what it cost."""
    return {
        "metrics": [_plain(asdict(metric)) for metric in spec.metrics],
        "layout": asdict(layout),
        "scales": plan.scales,
        "cohorts": list(cohorts),
        "mechanism": MECHANISM if is_answered else None,
    }


def selection(spec: Spec, keys: Sequence[str] | None) -> dict[str, Any]:
    """Return the answer of a selection of keys in the same way; None for one that was refused."""
    return {
        "metrics": [_plain(asdict(metric)) for metric in spec.metrics],
        SELECTED: list(keys or ()),
        "mechanism": MECHANISM if keys is not None else None,
    }


def write(workspace: Workspace, stored: Sequence[Shown]) -> None:
    """Write answers into the released plane, in place of what is there."""
    slots = [_slot_row(*each) for each in stored]
    rows = [{"answer_id": id_, **row} for id_, _, content, _ in stored for row in _figures(content)]
    with warehouse.opened(workspace, "released") as connection:
        warehouse.replace(connection, "answer_slots", pa.Table.from_pylist(slots, SLOTS))
        warehouse.replace(connection, "answer_figures", pa.Table.from_pylist(rows, FIGURES))


def _slot_row(answer_id: str, slot: Slot, content: Mapping[str, Any], is_answered: bool) -> dict[str, Any]:
    return {
        "answer_id": answer_id,
        "release": slot.release,
        "is_answered": is_answered,
        "period": slot.period,
        "period_start": slot.start,
        "period_end": slot.end,
        "lookback_start": date.fromisoformat(content["lookback_start"]),
        **{name: content[name] for name in ("unit", "mechanism", "epsilon", "tolerance_points", "policy_version")},
        **{name: float(content[name]) for name in ("rho", "delta")},
    }


def _figures(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    metrics = metrics_of(content)
    if SELECTED in content:
        return list(_selected(metrics[0], content[SELECTED]))
    return list(figures.of_answer(metrics, layout_of(content), content["cohorts"], content["scales"]))


def metrics_of(content: Mapping[str, Any]) -> list[Metric]:
    """Return the metrics of a stored answer."""
    return [_metric(each) for each in content["metrics"]]


def _selected(metric: Metric, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield a row per key that was selected, of all tenants together; where none was, one row that says so."""
    for key in keys or (None,):
        yield {
            "cohort_level": "all",
            "cohort_key": "*/*/*",
            **dict.fromkeys(("cohort_industry", "cohort_region", "cohort_size_band"), "*"),
            "segment": None,
            "metric": metric.name,
            "kind": metric.kind,
            "estimand": metric.estimand,
            "is_eligible": key is not None,
            **asdict(figures.Figure(key, error_points=None if key is None else 0.0)),  # a key has no error
        }


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    """Write decimals as text: a float would be another number."""
    decimal = {name: str(value) for name, value in facts.items() if isinstance(value, Decimal)}
    return facts | decimal | {"shares": [str(share) for share in facts["shares"]]}


def _metric(facts: Mapping[str, Any]) -> Metric:
    wanted, randomised = facts["wanted_error"], facts.get("randomised")  # which answers of before do not say
    return Metric(
        **{
            **facts,
            "keys": facts["keys"] if isinstance(facts["keys"], str) else tuple(facts["keys"]),
            "edges": tuple(facts["edges"]),
            "shares": tuple(Decimal(share) for share in facts["shares"]),
            "wanted_error": None if wanted is None else Decimal(wanted),
            "randomised": None if randomised is None else Decimal(randomised),
        }
    )


def layout_of(content: Mapping[str, Any]) -> Layout:
    """Return the layout of a stored answer's vectors."""
    facts = content["layout"]
    blocks = [Block(**{**block, "cells": tuple(Cell(**cell) for cell in block["cells"])}) for block in facts["blocks"]]
    return Layout(tuple(blocks), facts["tenant_cap"])
