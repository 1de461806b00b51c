"""Deeper looks as they are written down and read back: what may be asked, and what an approved one is."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quorum import looks, policy, release
from quorum.errors import BadInput, QuorumError, Refused
from quorum.hash_chain import ChainBroken, ChainedLog, Entry
from quorum.ledger import Ledger
from quorum.looks import Look, Request
from quorum.measurement import Plan
from quorum.metrics import Metric
from quorum.policy import Spec
from tests.specs import SELECTION, SPEC

MONDAY = date(2026, 3, 2)
SUMS = replace(
    SPEC,
    name="sums",
    metrics=(
        Metric("events", "mean", "events", high=100),
        Metric("days", "mean", "days", high=7),
        Metric("events_per_day", "ratio", "events", numerator="events", denominator="days", ceiling=100),
    ),
)
RELEASES: dict[str, Spec] = {spec.name: spec for spec in (SPEC, SUMS, SELECTION)}
REQUEST = Request(
    by="ann",
    why="the pricing of exports",
    release="usage",
    metrics=("adoption",),
    keys=("export",),
    levels=("all",),
    first=MONDAY,
    last=MONDAY + timedelta(days=13),
    rho_atoms=Decimal("0.004"),
    rho_parents=Decimal("0.002"),
    until=date(2026, 5, 31),
    on=date(2026, 3, 20),
    number=3,
)
DECIDED: dict[str, Any] = {"number": 3, "on": "2026-03-21", "by": "bo", "why": ""}


def log(*facts: tuple[str, dict[str, Any]]) -> list[Entry]:
    entries: list[Entry] = []
    for kind, each in facts:
        entries.append(Entry.after(entries[-1] if entries else None, kind, each))
    return entries


APPROVED = log((looks.REQUESTED, REQUEST.facts()), (looks.DECIDED, DECIDED | {"decision": "approved"}))


def test_a_look_is_the_cells_that_were_asked_for_and_else_its_release() -> None:
    look = REQUEST.spec(RELEASES, {})
    assert (look.name, look.source, look.levels) == ("usage#3", "usage", ("all",))
    assert look.metrics == (replace(SPEC.metrics[0], keys=("export",), max_cells=1),)
    assert look.rho == Decimal("0.006")
    kept = ("population", "unit", "period", "min_tenants", "tenant_cap", "delta", "gate_z", "tolerance_points")
    assert [getattr(look, name) for name in kept] == [getattr(SPEC, name) for name in kept]
    whole = replace(REQUEST, metrics=(), keys=(), levels=()).spec(RELEASES, {})
    assert (whole.metrics, whole.levels) == (SPEC.metrics, SPEC.levels)


def test_fewer_keys_are_told_with_less_noise_for_the_same_rho() -> None:
    """A user is in one cell of one at the most, so that it moves less than one of many cells."""
    same = replace(REQUEST, rho_atoms=SPEC.rho_atoms, rho_parents=SPEC.rho_parents).spec(RELEASES, {})
    of_look, of_release = (Plan.of(spec, spec.layout({})) for spec in (same, SPEC))
    per_user = [
        plan.atom_scale / spec.layout({}).blocks[0].scale for plan, spec in ((of_look, same), (of_release, SPEC))
    ]
    assert per_user[0] < 0.65 * per_user[1]


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"release": "others"}, BadInput, "no release others is declared"),
        ({"release": "page_keys"}, Refused, "selects keys"),
        ({"metrics": ("adoptions",)}, BadInput, "has no metric adoptions"),
        ({"keys": ("exports",)}, BadInput, "has no key exports"),
        ({"levels": ("all", "atom")}, BadInput, "measures no level atom"),
        ({"release": "sums", "metrics": ("events",)}, BadInput, "keys can be chosen of one metric of distinct users"),
        ({"release": "sums", "metrics": ("events_per_day",), "keys": ()}, BadInput, "needs events and days"),
        ({"first": MONDAY + timedelta(days=1)}, BadInput, "no whole weeks"),
        ({"last": MONDAY - timedelta(days=1)}, BadInput, "no whole weeks"),
        ({"last": MONDAY + timedelta(days=10)}, BadInput, "no whole weeks"),
        ({"rho_atoms": Decimal("0.05")}, Refused, "the floor in code is at most 0.05 a week"),
        ({"rho_atoms": Decimal("NaN")}, QuorumError, "a positive number"),
        ({"rho_parents": Decimal(0)}, Refused, "a positive number"),
        ({"rho_parents": Decimal("-0.001")}, Refused, "a positive number"),
    ],
)
def test_what_cannot_be_asked(asked: dict[str, Any], error: type[QuorumError], said: str) -> None:
    with pytest.raises(error, match=said):
        replace(REQUEST, **asked).spec(RELEASES, {})


def test_it_has_the_periods_that_are_over_of_those_asked_for() -> None:
    look = REQUEST.spec(RELEASES)
    weeks = [(MONDAY + timedelta(weeks=n), MONDAY + timedelta(weeks=n + 1)) for n in range(2)]
    for days, closed in ((-1, 0), (5, 0), (6, 1), (12, 1), (13, 2), (200, 2)):
        assert look.periods(MONDAY + timedelta(days=days)) == weeks[:closed]


class TestLog:
    def test_a_request_is_read_back_as_it_was(self) -> None:
        [looked] = looks.of_log(log((looks.REQUESTED, REQUEST.facts()))).values()
        assert (looked.request, looked.state) == (REQUEST, "open")

    def test_only_an_approved_one_is_in_force_and_until_its_last_day(self) -> None:
        assert looks.in_force(APPROVED[:1], RELEASES, MONDAY) == []
        assert [spec.name for spec in looks.in_force(APPROVED, RELEASES, REQUEST.until)] == ["usage#3"]
        assert looks.in_force(APPROVED, RELEASES, REQUEST.until + timedelta(days=1)) == []
        refusal = Entry.after(APPROVED[-1], looks.DECIDED, DECIDED | {"decision": "refused"})
        assert looks.in_force([*APPROVED, refusal], RELEASES, MONDAY) == []

    def test_one_that_was_changed_afterwards_stops_a_run(self) -> None:
        richer = REQUEST.facts() | {"rho_atoms": "0.04"}
        with pytest.raises(ChainBroken):
            looks.in_force([replace(APPROVED[0], facts=richer), APPROVED[1]], RELEASES, MONDAY)

    def test_a_floor_that_rose_above_an_approved_one_refuses_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(policy, "MAX_RHO", {"week": Decimal("0.005")})
        with pytest.raises(Refused, match=r"usage#3: rho is 0\.006"):
            looks.in_force(APPROVED, {"usage": SPEC}, MONDAY)

    def test_a_chained_log_holds_it(self, tmp_path: Path) -> None:
        file = ChainedLog(tmp_path / "audit.jsonl")
        file.append(looks.REQUESTED, **REQUEST.facts())
        assert looks.of_log(file.records())[3].request == REQUEST


def due(spec: Spec, start: date) -> release.Due:
    layout = spec.layout({})
    return release.Due(spec, start, start + timedelta(days=7), layout, Plan.of(spec, layout), "policy")


def test_a_model_is_asked_one_thing_at_a_time() -> None:
    other: Look = replace(REQUEST, number=4).spec(RELEASES)
    look, week = REQUEST.spec(RELEASES), timedelta(weeks=1)
    asked = [(look, MONDAY), (SPEC, MONDAY + week), (other, MONDAY), (SUMS, MONDAY), (other, MONDAY + week)]
    rounds = release.rounds([due(*each) for each in asked])
    found = [[(each.spec.name, each.start) for each in several] for several in rounds]
    assert found == [
        [("usage", MONDAY + week), ("sums", MONDAY), ("usage#3", MONDAY)],
        [("usage#4", MONDAY), ("usage#4", MONDAY + week)],
    ]


def test_a_look_waits_for_its_release(tmp_path: Path) -> None:
    """What it measures again has been measured; else it would draw the gate of its release before it."""
    ledger = Ledger.create(f"sqlite:///{tmp_path / 'ledger.db'}")
    found = release.due_releases(ledger, [SPEC, REQUEST.spec(RELEASES)], {}, MONDAY + timedelta(days=13), "policy")
    assert {each.spec.name for each in found} == {"usage"}
