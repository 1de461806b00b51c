"""The budget ledger: what every population has spent, and the answers it was spent on.

All that is spent or answered is read from one hash chain of entries (create, reserve, commit; anchor and loss are of
``quorum.anchors``), and every read
checks the chain whole: it grows by a few entries a night. A reservation counts from the moment it is written,
committed or not, so a crash hides nothing that was spent; and who asks the same question again, at the same cost,
takes over what was reserved for it.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal

from quorum.budget import WINDOWS, Budget, Cost, Period, Slot, Window, is_nearly_spent, label, next_start, total
from quorum.errors import BadInput, Refused
from quorum.hash_chain import Entry, digest
from quorum.ledger_store import Chain, Store


@dataclass(frozen=True)
class Reservation:
    """Budget that is spent, whether or not an answer follows."""

    seq: int
    slot: Slot
    cost: Cost
    budget: Budget  # as it stood when the cost was checked against it

    @classmethod
    def parse(cls, entry: Entry) -> Reservation:
        slot = Slot.parse(entry.facts["slot"])
        cost = Cost(Decimal(entry.facts["rho"]), Decimal(entry.facts["delta_gate"]))
        limits = {window: Decimal(limit) for window, limit in entry.facts["limits"].items()}
        return cls(entry.seq, slot, cost, Budget(slot.population, limits))


@dataclass(frozen=True)
class Gate:
    """The atoms that passed one gate draw, for what one answer counts over a frozen cohort map (given by its hash)."""

    cohort_map: str
    eligible: frozenset[str]


@dataclass(frozen=True)
class Answer:
    """A committed answer; ``payload`` is read back from its JSON, the same each time."""

    id: str  # random
    slot: Slot
    payload: dict[str, Any]


@dataclass(frozen=True)
class Usage:
    """What one population has lost in one calendar window."""

    population: str
    window: Window
    label: str
    refreshes: date | None  # the first day of the next window; its periods have a budget of their own
    spent: Decimal  # rho
    limit: Decimal | None  # rho, as last enforced; None where the budget set none
    draws: tuple[Cost, ...]  # of the answers that drew a gate

    @property
    def delta_gate(self) -> Decimal:
        return total(cost.delta_gate for cost in self.draws)

    @property
    def share(self) -> Decimal | None:
        return self.spent / self.limit if self.limit else None

    @property
    def warning(self) -> bool:
        return self.limit is not None and is_nearly_spent(self.window, self.spent, self.limit)

    @classmethod
    def of(cls, window: Window, charges: list[Reservation]) -> Usage:
        """Add up the charges that one population has in one window, oldest first."""
        last = charges[-1]
        return cls(
            population=last.slot.population,
            window=window,
            label=label(window, last.slot.start),
            refreshes=next_start(window, last.slot.start),
            spent=total(charge.cost.rho for charge in charges),
            limit=last.budget.limits.get(window),
            draws=tuple(charge.cost for charge in charges if charge.cost.delta_gate),
        )


class Ledger:
    """A ledger that is safe between processes: each call is one transaction.

    Each call raises ChainBroken if the chain was tampered with, and QuorumError if the database fails.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @classmethod
    def create(cls, url: str) -> Ledger:
        """Start an empty ledger; raises Refused where there is one."""
        return cls(Store.create(url, {"identity": secrets.token_hex(16)}))

    @classmethod
    def open(cls, url: str) -> Ledger:
        """Open a ledger; raises Refused where there is none."""
        return cls(Store.open(url))

    @property
    def identity(self) -> str:
        """The random id of this deployment, made with the ledger."""
        with self._book() as book:
            return book.identity

    @property
    def length(self) -> int:
        """How many entries there are: a published release names it, so that an older ledger is noticed."""
        with self._book() as book:
            return len(book.chain.entries)

    def entries(self) -> list[Entry]:
        """Return the whole chain, checked."""
        with self._book() as book:
            return book.chain.entries

    def append_head(self, kind: Literal["anchor", "loss"], head: Mapping[str, Any]) -> Entry:
        """Write down the audit log's head: as it is, or as it is after a loss that the operator accepts."""
        with self._book() as book:
            return book.chain.append(kind, head)

    def refuse_if_behind(self, identity: str, length: int) -> None:
        """Raise Refused unless this is the ledger that a published release names, and no older than then."""
        with self._book() as book:
            if book.identity != identity:
                raise Refused("this is not the ledger of the published release: put that one back")
            found = len(book.chain.entries)
        if found < length:
            raise Refused(
                f"an older ledger was put back: it has {found} entries and the published release "
                f"knows {length}; put the newest back"
            )

    def answer(self, slot: Slot) -> Answer | None:
        """Return what was committed for a slot. Look here first: an answer that exists is free."""
        with self._book() as book:
            commit = book.find_commit("slot", slot.key)
            return book.answer(commit) if commit else None

    def answers(self, release: str) -> list[Answer]:
        """Return all answers of a release, by period."""
        with self._book() as book:
            commits = [commit for commit in book.commits if book.slot(commit).release == release]
            return [book.answer(commit) for commit in sorted(commits, key=lambda commit: book.slot(commit).start)]

    def all_answers(self) -> list[Answer]:
        """Return the answers of all releases, in the order in which they were given."""
        with self._book() as book:
            return [book.answer(commit) for commit in book.commits]

    def eligible(self, release: str, period: Period, start: date) -> frozenset[str] | None:
        """Return the atoms that the gate of a release's answer drew; None where no answer of it drew one."""
        with self._book() as book:
            for commit in book.commits:
                slot = book.slot(commit)
                if commit.facts["draw"] and (slot.release, slot.period, slot.start) == (release, period, start):
                    return frozenset(book.chain.content(commit)["eligible"])
            return None

    def reserve(self, slot: Slot, cost: Cost, budget: Budget) -> Reservation:
        """Spend a cost, before its noise is drawn; where it is spent and unanswered already, return that reservation.

        The noise of an unanswered reservation was never stored, so nobody can have seen it (docs/privacy-model.md).
        Of two who hold one reservation, one can commit, and the other has to throw its noise away.
        Raises BudgetExhausted if a window has no room left, and Refused if the slot is answered already.
        """
        facts = {
            "slot": slot.facts(),
            "rho": str(cost.rho),
            "delta_gate": str(cost.delta_gate),
            "limits": {window: str(limit) for window, limit in budget.limits.items()},
        }
        with self._book() as book:
            book.refuse_if_answered(slot)
            for charge in book.reservations.values():
                if (charge.slot, charge.cost) == (slot, cost):
                    return charge
            budget.check(slot, cost, {window: book.spent(slot.population, window, slot.start) for window in WINDOWS})
            return Reservation.parse(book.chain.append("reserve", facts))

    def commit(self, reservation: Reservation, payload: dict[str, Any], gate: Gate | None = None) -> Answer:
        """Store the answer a reservation paid for, and the atoms its gate drew; both, or neither.

        Raises Refused if the reservation is not of this ledger, or if the slot is answered or the gate drawn
        already: then the new noise must be thrown away. Raises BadInput for a gate without delta_gate, or the
        reverse.
        """
        slot, draw = reservation.slot, None
        if (gate is None) != (reservation.cost.delta_gate == 0):
            raise BadInput("a gate draw and its delta_gate go together")
        if gate:
            draw = _draw(slot.population, slot.period, slot.start, gate.cohort_map)
        facts = {
            "reservation": reservation.seq,
            "answer": secrets.token_hex(16),
            "slot": slot.key,
            "draw": draw,
        }
        content = {"payload": payload, "eligible": sorted(gate.eligible) if gate else None}
        with self._book() as book:
            if book.reservations.get(reservation.seq) != reservation:
                raise Refused(f"reservation {reservation.seq} is not of this ledger")
            book.refuse_if_answered(slot)
            if draw and book.find_commit("draw", draw):
                raise Refused(f"the gate of {slot.population} for {slot.start} was drawn already: use that draw")
            return book.answer(book.chain.append_commit(facts, content))

    def charges(self, population: str | None = None) -> list[Reservation]:
        """Return what was spent, oldest first, of one population or of all."""
        with self._book() as book:
            return [each for each in book.reservations.values() if population in (None, each.slot.population)]

    def unanswered(self) -> list[Reservation]:
        """Return what was spent and has no answer: a run that asks the same again takes it over."""
        with self._book() as book:
            answered = {commit.facts["slot"] for commit in book.commits}
            return [each for each in book.reservations.values() if each.slot.key not in answered]

    def spent(self, population: str, window: Window, day: date) -> Decimal:
        """Return the rho spent on periods of data that start in the calendar window of ``day``."""
        with self._book() as book:
            return book.spent(population, window, day)

    def report(self, population: str | None = None) -> list[Usage]:
        """Return what was lost per population and window: weeks first, the lifetime last."""
        groups: dict[tuple[str, int, str], list[Reservation]] = defaultdict(list)
        for charge in self.charges(population):
            for order, window in enumerate(WINDOWS):
                groups[charge.slot.population, order, label(window, charge.slot.start)].append(charge)
        return [Usage.of(WINDOWS[order], group) for (_, order, _), group in sorted(groups.items())]

    def verify(self) -> int:
        """Recheck the chain and every stored answer; returns the number of entries."""
        with self._book() as book:
            for commit in book.commits:
                book.answer(commit)
            return len(book.chain.entries)

    @contextmanager
    def _book(self) -> Iterator[_Book]:
        with self._store.transaction() as chain:
            yield _Book(chain)


class _Book:
    """What the entries of a chain mean."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.identity = str(chain.entries[0].facts["identity"])
        self.commits = [entry for entry in chain.entries if entry.kind == "commit"]

    @cached_property
    def reservations(self) -> dict[int, Reservation]:
        return {entry.seq: Reservation.parse(entry) for entry in self.chain.entries if entry.kind == "reserve"}

    def slot(self, commit: Entry) -> Slot:
        return self.reservations[commit.facts["reservation"]].slot

    def answer(self, commit: Entry) -> Answer:
        return Answer(commit.facts["answer"], self.slot(commit), self.chain.content(commit)["payload"])

    def find_commit(self, fact: str, value: str) -> Entry | None:
        return next((commit for commit in self.commits if commit.facts[fact] == value), None)

    def refuse_if_answered(self, slot: Slot) -> None:
        if self.find_commit("slot", slot.key):
            raise Refused(f"{slot.release} for {slot.start} is answered already: use that answer")

    def spent(self, population: str, window: Window, day: date) -> Decimal:
        name = label(window, day)
        charges = (each for each in self.reservations.values() if each.slot.population == population)
        return total(each.cost.rho for each in charges if label(window, each.slot.start) == name)


def _draw(population: str, period: Period, start: date, cohort_map: str) -> str:
    return digest([population, period, str(start), cohort_map])
