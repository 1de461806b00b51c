"""The release step: what is due, what it costs, and the answers that the released plane holds.

Reserve, noise, store, commit. The ledger keeps the answers; the released plane is a copy of them that can be
made again at any time, and nothing else ever reaches it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cache, partial
from typing import Any

from quorum import answers, cohort_control, key_selection, measurement, mechanisms, tenant_shares, warehouse
from quorum.answers import Shown
from quorum.bounding import Layout
from quorum.budget import Budget, BudgetExhausted, Cost, Slot
from quorum.errors import QuorumError
from quorum.hash_chain import digest
from quorum.key_selection import SELECTED, KeyCount
from quorum.ledger import Answer, Gate, Ledger, Reservation
from quorum.measurement import Cells, Plan
from quorum.policy import Spec
from quorum.workspace import Workspace


@dataclass(frozen=True)
class Due:
    """A release and a closed period that has no answer yet, with the bound and the noise that it will get."""

    spec: Spec
    start: date
    end: date
    layout: Layout
    plan: Plan
    policy: str

    @property
    def lookback_start(self) -> date:
        """The first UTC day whose events count."""
        return self.start - timedelta(days=self.spec.lookback_days)

    @property
    def previous_start(self) -> date:
        """The first UTC day of the period before."""
        return self.start - (self.end - self.start)

    @property
    def slot(self) -> Slot:
        spec = self.spec
        return Slot(
            spec.population,
            spec.name,
            spec.period,  # type: ignore[arg-type]  # Spec allows exactly the ledger's periods
            self.start,
            self.end,
            spec.digest(self.layout),
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


def due_releases(
    ledger: Ledger, specs: list[Spec], key_sets: Mapping[str, Sequence[str]], as_of: date, policy: str
) -> list[Due]:
    """Return what has no answer yet, oldest first. A period that was ever answered stays closed, whatever changed.

    A deeper look waits until its release has an answer for the period.
    """
    due = []
    given = [each for spec in specs for each in ledger.answers(spec.name)]
    answered = {(each.slot.release, each.slot.period, each.slot.start) for each in given}
    for spec in specs:
        for start, end in spec.periods(as_of):
            layout = spec.layout({**key_selection.known(specs, given, start), **key_sets})
            is_known = spec.source == spec.name or (spec.source, spec.period, start) in answered
            if is_known and (spec.name, spec.period, start) not in answered and not layout.is_empty:
                due.append(Due(spec, start, end, layout, _plan(spec, layout), policy))
    return sorted(due, key=lambda each: each.start)


def rounds(due: Sequence[Due]) -> list[list[Due]]:
    """Split what is due so that a model is asked one thing about a period at a time, releases before deeper looks."""
    found: list[list[Due]] = []
    for each in sorted(due, key=lambda each: each.spec.source != each.spec.name):
        asked = (each.spec.source, each.start)
        free = (several for several in found if asked not in [(one.spec.source, one.start) for one in several])
        chosen = next(free, None)
        if chosen is None:
            found.append(chosen := [])
        chosen.append(each)
    return found


_plan = cache(Plan.of)  # most periods have one layout


def answer(
    workspace: Workspace,
    ledger: Ledger,
    budgets: dict[str, Budget],
    due: list[Due],
    no_room: Mapping[Slot, BudgetExhausted],
) -> list[Outcome]:
    """Answer what is due, oldest first, as far as the budgets go; ``no_room`` is left beside what waits."""
    # before anything is reserved: an answer whose shares are not kept could never be shown without them
    ids = iter(tenant_shares.keep(workspace, [each for each in due if not each.spec.is_selection]))
    outcomes = []
    for each in due:
        reserve = partial(_reserve, ledger, budgets[each.spec.population], each, no_room)
        if each.spec.is_selection:
            outcomes.append(_select_keys(workspace, ledger, reserve, each))
        else:
            outcomes.append(_answer_one(workspace, ledger, reserve, each, next(ids)))
    return outcomes


def _reserve(ledger: Ledger, budget: Budget, due: Due, no_room: Mapping[Slot, BudgetExhausted]) -> Reservation:
    if due.slot in no_room:
        raise no_room[due.slot]
    return ledger.reserve(due.slot, Cost(due.spec.rho, due.delta_gate), budget)


def _select_keys(workspace: Workspace, ledger: Ledger, reserve: Callable[[], Reservation], due: Due) -> Outcome:
    with warehouse.opened(workspace, "cross_tenant", read_only=True) as connection:
        rows = warehouse.rows(
            connection,
            f"select key, users, contributors, largest from dp_{due.spec.source} where period_start = ? order by key",
            [due.start],
        )
    privacy = _privacy(due.spec, due)  # before anything is spent: it can still be refused
    try:
        reservation = reserve()
    except BudgetExhausted as exhausted:
        return Outcome(due, answers.selection(due.spec, None) | privacy, exhausted)
    keys = key_selection.select(due.spec, due.plan, [KeyCount(**row) for row in rows])
    gate = Gate(digest([due.spec.name, SELECTED]), frozenset(keys))
    return Outcome(due, ledger.commit(reservation, answers.selection(due.spec, keys) | privacy, gate).payload)


def _answer_one(
    workspace: Workspace, ledger: Ledger, reserve: Callable[[], Reservation], due: Due, measurement_id: str
) -> Outcome:
    spec = due.spec
    cells, gate_map = _read_cells(workspace, due)
    # before anything is spent: it can still be refused
    privacy = _privacy(spec, due) | {"measurement_id": measurement_id}
    kept = privacy | cohort_control.record(workspace, due, cells)
    try:
        reservation = reserve()
    except BudgetExhausted as exhausted:
        empty = answers.payload(spec, due.layout, due.plan, measurement.refused(cells), is_answered=False)
        return Outcome(due, empty | privacy, exhausted)
    # None for a release, which is not answered yet; a deeper look speaks of no group that failed there
    found = ledger.eligible(spec.source, due.slot.period, due.start)
    eligible, cohorts = measurement.measure(spec, due.plan, cells, found)
    content = answers.payload(spec, due.layout, due.plan, cohorts, is_answered=True) | kept
    return Outcome(due, ledger.commit(reservation, content, Gate(gate_map, eligible)).payload)


def _read_cells(workspace: Workspace, due: Due) -> tuple[Cells, str]:
    with warehouse.opened(workspace, "cross_tenant", read_only=True) as connection:
        rows = warehouse.rows(
            connection,
            f"select cohort_key, segment, metric, key, value from dp_{due.spec.source} where period_start = ?",
            [due.start],
        )
        unions = warehouse.rows(connection, "select * from cohort_unions where period_start = ?", [due.start])
        members = warehouse.rows(
            connection,
            "select tenant_key, cohort_key from cohort_tenants "
            "where period_start = ? and listing <> 'unlisted' order by tenant_key",
            [due.start],
        )
    cells = measurement.cells_from(rows, unions, due.spec, due.layout)
    if not all(due.layout.can_hold(vector) for vector in cells.vectors.values()):
        # whatever rows there are, the bounds are met: else the SQL is not what the noise is scaled to
        raise QuorumError(f"nothing is released: a vector of {due.spec.name} is beyond what its users can add up to")
    # a gate is drawn for what one release or look counts, one map and one quorum: anything else is another draw
    asked = [due.spec.name, due.spec.min_tenants, due.spec.tenant_cap]
    return cells, digest([asked, sorted(cells.in_transition), [list(member.values()) for member in members]])


def _privacy(spec: Spec, due: Due) -> dict[str, Any]:
    """Return what every row of the answer says of itself; rho and delta are exact decimals as text."""
    return {
        "unit": spec.unit,
        "lookback_start": str(due.lookback_start),
        "rho": str(spec.rho),
        "epsilon": mechanisms.epsilon(spec.rho, float(spec.delta - due.delta_gate)),
        "delta": str(spec.delta),
        "tolerance_points": float(spec.tolerance_points),
        "policy_version": due.policy,
    }


def shown(stored: Sequence[Answer], outcomes: Sequence[Outcome]) -> list[Shown]:
    """Return what readers may see: the ledger's answers, and an empty one for each refusal."""
    found: list[Shown] = [(answer.id, answer.slot, answer.payload, True) for answer in stored]
    for outcome in outcomes:
        if outcome.refusal is not None:
            slot = outcome.due.slot
            # not an answer, so no random id; the period names it, the same on every try
            found.append((f"refused {slot.release} {slot.period} {slot.start}", slot, outcome.payload, False))
    return found


def write_answers(workspace: Workspace, stored: list[Answer], outcomes: list[Outcome]) -> None:
    """Copy what readers may see into the released plane."""
    answers.write(workspace, shown(stored, outcomes))
