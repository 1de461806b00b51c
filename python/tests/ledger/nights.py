"""The part of a night that draws noise, cut into the moments at which something can die."""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect

from quorum.ledger import Ledger
from tests.ledger.charges import GATE, GATED, YEARLY, week

Passes = Callable[[str], None]

# All of them in their order, which `test_no_moment_is_left_out` checks.
MOMENTS = (
    *("looking: before commit", "looking: after commit"),
    *("reserving: before entries", "reserving: after entries", "reserving: before commit", "reserving: after commit"),
    "noise drawn",
    *("storing: before entries", "storing: after entries", "storing: before contents", "storing: after contents"),
    *("storing: before commit", "storing: after commit"),
    "released",
)


def night(url: str, released: Path, passes: Passes = lambda _moment: None) -> None:
    """Answer one question as the release step does, and write the answer where readers see it."""
    steps = iter(("looking", "reserving", "storing"))
    with _watched(lambda moment: passes(f"{step}: {moment}")):
        step = next(steps)
        ledger = Ledger.open(url)
        answer = ledger.answer(week())
        if answer is None:
            step = next(steps)
            reservation = ledger.reserve(week(), GATED, YEARLY)
            noise = secrets.randbits(53)
            passes("noise drawn")
            step = next(steps)
            answer = ledger.commit(reservation, {"noise": noise}, GATE)
    released.write_text(json.dumps([answer.id, answer.payload]))
    passes("released")


def assert_harmless(url: str, released: Path) -> None:
    """Whatever died: no number is out without its entry in the ledger, and nothing is charged or stored by halves."""
    ledger = Ledger.open(url)
    ledger.verify()
    answers, charges = ledger.answers("adoption"), ledger.charges()
    assert [charge.cost for charge in charges] in ([], [GATED])
    assert len(answers) <= len(charges)
    assert ledger.eligible("adoption", "week", week().start) == (GATE.eligible if answers else None)
    if released.exists():
        assert json.loads(released.read_text()) == [answers[0].id, answers[0].payload]


def assert_made_good(url: str, released: Path) -> None:
    """Do the night again: one question, one charge, one answer, the one that was out already where one was."""
    out = released.read_text() if released.exists() else None
    night(url, released)
    assert out in (None, released.read_text())
    assert_harmless(url, released)
    assert [entry.kind for entry in Ledger.open(url).entries()] == ["create", "reserve", "commit"]


@contextmanager
def _watched(passes: Passes) -> Iterator[None]:
    """Tell of each insert and each commit of this process, before and after it."""

    def before(_connection: object, _cursor: object, sql: str, *_others: object) -> None:
        if sql.startswith("INSERT INTO "):
            passes(f"before {sql.split()[2]}")

    def after(_connection: object, _cursor: object, sql: str, *_others: object) -> None:
        if sql.startswith("INSERT INTO "):
            passes(f"after {sql.split()[2]}")

    commit = DefaultDialect.do_commit

    def do_commit(dialect: DefaultDialect, connection: sa.PoolProxiedConnection) -> None:
        passes("before commit")
        commit(dialect, connection)  # type: ignore[no-untyped-call]
        passes("after commit")

    sa.event.listen(sa.Engine, "before_cursor_execute", before)
    sa.event.listen(sa.Engine, "after_cursor_execute", after)
    try:
        with mock.patch.object(DefaultDialect, "do_commit", do_commit):
            yield
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", before)
        sa.event.remove(sa.Engine, "after_cursor_execute", after)
