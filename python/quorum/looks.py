"""Deeper looks: somebody asks for cells of a release with less noise, somebody else decides, and the budget pays.

A request and what was decided about it are entries of the audit log, which is where they are read from: nobody can
change one in silence. An approved look is a release like any other, under the same floors and budgets, with a gate of
its own. It measures what its release has measured before, over groups that this found eligible (``Spec.source``), and
is shown until its last day.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from quorum import hash_chain
from quorum.budget import DAYS
from quorum.errors import BadInput, Refused
from quorum.metrics import Metric
from quorum.policy import Spec

REQUESTED, DECIDED = "look_requested", "look_decided"
APPROVED = "approved"


@dataclass(frozen=True)
class Look(Spec):
    """A release over chosen periods and cells of another one, ``of``."""

    of: str = ""
    first: date = date.min
    last: date = date.max
    until: date = date.max

    @property
    def source(self) -> str:
        return self.of

    def periods(self, as_of: date) -> list[tuple[date, date]]:
        """Return those of the periods asked for that are closed, oldest first."""
        length = timedelta(days=DAYS[self.period])
        closed = min(self.last, as_of) - length + timedelta(days=1)  # the last day that one may start on
        starts = [self.first + n * length for n in range((closed - self.first) // length + 1)]
        return [(start, start + length) for start in starts]


@dataclass(frozen=True)
class Request:
    """Who wants which cells of a release, why, for how much rho a period, and until which day.

    ``first`` and ``last`` are UTC days, and whole periods; ``keys`` and ``levels`` empty for all of the release.
    """

    by: str
    why: str
    release: str
    metrics: tuple[str, ...]
    keys: tuple[str, ...]
    levels: tuple[str, ...]
    first: date
    last: date
    rho_atoms: Decimal
    rho_parents: Decimal
    until: date
    on: date  # the UTC day on which it was asked
    number: int = 0  # given when it is written down

    @property
    def name(self) -> str:
        """The name of the release that it would be; no model can have it."""
        return f"{self.release}#{self.number}"

    def facts(self) -> dict[str, Any]:
        """Return what the audit log keeps."""
        plain = {name: str(value) for name, value in vars(self).items() if isinstance(value, date | Decimal)}
        return {**vars(self), **plain, **{name: list(getattr(self, name)) for name in ("metrics", "keys", "levels")}}

    @classmethod
    def parse(cls, facts: Mapping[str, Any]) -> "Request":
        days = {name: date.fromisoformat(facts[name]) for name in ("first", "last", "until", "on")}
        rho = {name: Decimal(facts[name]) for name in ("rho_atoms", "rho_parents")}
        lists = {name: tuple(facts[name]) for name in ("metrics", "keys", "levels")}
        return cls(**{**facts, **days, **rho, **lists})

    def spec(self, releases: Mapping[str, Spec], key_sets: Mapping[str, Sequence[str]] | None = None) -> Look:
        """Return the release that it asks for; raises BadInput or Refused where there is no such release.

        ``key_sets`` are the public keys as they are now, to check those that it names against.
        """
        base = releases.get(self.release)
        if base is None:
            raise BadInput(f"request {self.number}: no release {self.release} is declared: `quorum refuse` ends it")
        if base.is_selection:
            raise Refused(f"release {base.name} selects keys: there is no figure to look deeper into")
        self._check_days(base)
        levels = self.levels or base.levels
        if unknown := sorted(set(levels) - set(base.levels)):
            raise BadInput(f"release {base.name} measures no level {unknown[0]}: it has {', '.join(base.levels)}")
        metrics = tuple(self._narrowed(metric, key_sets) for metric in self._metrics(base))
        asked = {
            "name": self.name,
            "levels": levels,
            "rho_atoms": self.rho_atoms,
            "rho_parents": self.rho_parents,
            "metrics": metrics,
        }
        declared = {each.name: getattr(base, each.name) for each in fields(Spec)}
        return Look(**declared | asked, of=base.name, first=self.first, last=self.last, until=self.until)

    def _check_days(self, base: Spec) -> None:
        days = (self.last - self.first).days + 1
        if days < 1 or days % DAYS[base.period] or (base.period == "week" and self.first.isoweekday() != 1):
            whole = "weeks, from a Monday to a Sunday" if base.period == "week" else "days"
            raise BadInput(f"{self.first} to {self.last} are no whole {whole}")

    def _metrics(self, base: Spec) -> list[Metric]:
        chosen = self.metrics or tuple(metric.name for metric in base.metrics)
        if unknown := sorted(set(chosen) - {metric.name for metric in base.metrics}):
            raise BadInput(f"release {base.name} has no metric {unknown[0]}")
        found = [metric for metric in base.metrics if metric.name in chosen]
        for metric in found:
            if metric.kind == "ratio" and not {metric.numerator, metric.denominator} <= set(chosen):
                raise BadInput(f"{metric.name} needs {metric.numerator} and {metric.denominator}: ask for these too")
        if self.keys and [metric.kind for metric in found] != ["distinct_users"]:
            raise BadInput("keys can be chosen of one metric of distinct users alone, and no other beside it")
        return found

    def _narrowed(self, metric: Metric, key_sets: Mapping[str, Sequence[str]] | None) -> Metric:
        if not self.keys:
            return metric
        if key_sets is not None:
            known = key_sets.get(metric.keys, ()) if isinstance(metric.keys, str) else metric.keys
            if unknown := sorted(set(self.keys) - set(known)):
                raise BadInput(f"metric {metric.name} has no key {unknown[0]}")
        return replace(metric, keys=self.keys, max_cells=min(metric.max_cells, len(self.keys)))


@dataclass(frozen=True)
class Looked:
    """A request and what became of it: ``state`` is open, approved or refused."""

    request: Request
    state: str = "open"
    decided_by: str | None = None
    decided_why: str | None = None
    decided_on: date | None = None


def of_log(entries: Iterable[hash_chain.Entry]) -> dict[int, Looked]:
    """Return all requests by number, as the audit log tells of them."""
    found: dict[int, Looked] = {}
    for entry in entries:
        facts = entry.facts
        if entry.kind == REQUESTED:
            request = Request.parse(facts)
            found[request.number] = Looked(request)
        elif entry.kind == DECIDED:
            found[facts["number"]] = Looked(
                found[facts["number"]].request,
                facts["decision"],
                facts["by"],
                facts["why"],
                date.fromisoformat(facts["on"]),
            )
    return found


def in_force(entries: Iterable[hash_chain.Entry], releases: Mapping[str, Spec], as_of: date) -> list[Spec]:
    """Return what was approved and is not over, as releases; raises Refused where a floor has risen above one."""
    return [
        each.request.spec(releases)
        for each in of_log(hash_chain.check(entries, "audit.jsonl")).values()
        if each.state == APPROVED and as_of <= each.request.until
    ]
