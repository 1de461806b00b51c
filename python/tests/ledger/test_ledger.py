import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from quorum.budget import Budget, BudgetExhausted, Cost, Slot
from quorum.errors import BadInput, Refused
from quorum.hash_chain import canonical
from quorum.ledger import Gate, Ledger
from tests.ledger.charges import COST, GATED, MONDAY, TENTH, YEARLY, raw, room_for, week

PAYLOAD = {"cells": [3, -1], "sigma": 0.1, "share": {"b": None, "a": "Zürich"}}


class TestAnswers:
    def test_an_answer_comes_back_as_it_was(self, ledger: Ledger, url: str) -> None:
        assert ledger.answer(week()) is None
        answer = ledger.commit(ledger.reserve(week(), COST, YEARLY), PAYLOAD)
        assert answer.payload == PAYLOAD
        assert ledger.answer(week()) == answer
        assert Ledger.open(url).answer(week()) == answer
        assert canonical(answer.payload) == canonical(PAYLOAD)

    def test_a_tuple_is_returned_as_it_will_be_read_back(self, ledger: Ledger) -> None:
        answer = ledger.commit(ledger.reserve(week(), COST, YEARLY), {"cells": (1, 2)})
        assert answer.payload == {"cells": [1, 2]}

    def test_an_answered_slot_is_not_for_sale_again(self, used: Ledger) -> None:
        with pytest.raises(Refused, match="adoption for 2026-03-23 is answered already"):
            used.reserve(week(), COST, YEARLY)
        assert used.length == 5

    def test_a_new_specification_is_a_new_question_and_costs_again(self, used: Ledger) -> None:
        used.reserve(replace(week(), spec="other"), COST, YEARLY)
        assert used.spent("users", "week", MONDAY) == Decimal("0.10")

    def test_a_reservation_without_an_answer_is_taken_over(self, ledger: Ledger, url: str) -> None:
        first = ledger.reserve(week(), GATED, Budget("users", {"week": GATED.rho}))
        assert ledger.unanswered() == [first]
        assert Ledger.open(url).reserve(week(), GATED, Budget("users", {"week": GATED.rho})) == first
        assert (ledger.length, ledger.spent("users", "week", MONDAY)) == (2, GATED.rho)
        ledger.commit(first, PAYLOAD, Gate("map", frozenset()))
        assert ledger.unanswered() == []

    @pytest.mark.parametrize(
        ("slot", "cost"),
        [
            (replace(week(), spec="other"), GATED),
            (replace(week(), policy="other"), GATED),
            (week(1), GATED),
            (week(release="other"), GATED),
            (week(), COST),
            (week(), replace(GATED, rho=Decimal("0.04"))),
        ],
    )
    def test_another_question_or_cost_takes_nothing_over(self, ledger: Ledger, slot: Slot, cost: Cost) -> None:
        first = ledger.reserve(week(), GATED, YEARLY)
        assert ledger.reserve(slot, cost, YEARLY) != first
        assert ledger.spent("users", "year", MONDAY) == GATED.rho + cost.rho

    def test_a_slot_is_committed_once_though_two_hold_its_reservation(self, ledger: Ledger) -> None:
        first, second = (ledger.reserve(week(), COST, YEARLY) for _ in range(2))
        assert first == second
        kept = ledger.commit(second, {"drawn": 2})
        with pytest.raises(Refused, match="answered already"):
            ledger.commit(first, {"drawn": 1})
        assert ledger.answer(week()) == kept
        assert ledger.spent("users", "year", MONDAY) == COST.rho, "one draw was stored, the other thrown away"

    def test_the_database_itself_refuses_a_second_commit(self, used: Ledger, url: str) -> None:
        with raw(url) as connection, pytest.raises(sa.exc.IntegrityError, match=r"(?i)unique"):
            connection.exec_driver_sql("INSERT INTO contents SELECT 1, slot, NULL, content FROM contents LIMIT 1")

    def test_only_its_own_reservations_pay(self, ledger: Ledger, other_url: str) -> None:
        reservation = ledger.reserve(week(), COST, YEARLY)
        other = Ledger.create(other_url)
        with pytest.raises(Refused, match="not of this ledger"):
            other.commit(reservation, PAYLOAD)
        with pytest.raises(Refused, match="not of this ledger"):
            ledger.commit(replace(reservation, slot=week(1)), PAYLOAD)

    def test_a_payload_must_be_json(self, ledger: Ledger) -> None:
        reservation = ledger.reserve(week(), COST, YEARLY)
        with pytest.raises(BadInput, match="plain JSON"):
            ledger.commit(reservation, {"share": float("nan")})
        assert ledger.length == 2

    def test_answers_of_a_release_come_by_period(self, ledger: Ledger) -> None:
        for slot in (week(2), week(0), week(1, release="other"), week(1)):
            ledger.commit(ledger.reserve(slot, COST, YEARLY), {"start": str(slot.start)})
        assert [answer.slot for answer in ledger.answers("adoption")] == [week(0), week(1), week(2)]
        assert ledger.answers("none") == []
        assert len({answer.id for answer in ledger.answers("adoption")}) == 3


class TestGates:
    def test_a_draw_is_kept_per_release_and_period(self, ledger: Ledger) -> None:
        assert ledger.eligible("adoption", "week", MONDAY) is None
        atoms = frozenset({"b", "a"})
        ledger.commit(ledger.reserve(week(), GATED, YEARLY), PAYLOAD, Gate("map", atoms))
        assert ledger.eligible("adoption", "week", MONDAY) == atoms
        assert ledger.eligible("adoption", "week", MONDAY + timedelta(7)) is None
        assert ledger.eligible("adoption", "day", MONDAY) is None
        assert ledger.eligible("other", "week", MONDAY) is None

    def test_an_answer_without_a_gate_has_drawn_nothing(self, ledger: Ledger) -> None:
        ledger.commit(ledger.reserve(week(), COST, YEARLY), PAYLOAD)
        assert ledger.eligible("adoption", "week", MONDAY) is None

    def test_a_draw_where_nothing_passed_is_still_a_draw(self, ledger: Ledger) -> None:
        ledger.commit(ledger.reserve(week(), GATED, YEARLY), PAYLOAD, Gate("map", frozenset()))
        assert ledger.eligible("adoption", "week", MONDAY) == frozenset()

    def test_a_gate_is_drawn_once_per_period_and_map(self, used: Ledger) -> None:
        reservation = used.reserve(week(release="other"), GATED, YEARLY)
        with pytest.raises(Refused, match="gate of users for 2026-03-23 was drawn already"):
            used.commit(reservation, PAYLOAD, Gate("map", frozenset({"other"})))
        assert used.eligible("adoption", "week", MONDAY) == frozenset({"atom"})
        assert used.eligible("other", "week", MONDAY) is None
        assert used.answer(week(release="other")) is None, "answer and draw are stored together or not at all"

    @pytest.mark.parametrize(("cost", "gate"), [(COST, Gate("map", frozenset())), (GATED, None)])
    def test_a_draw_and_its_delta_go_together(self, ledger: Ledger, cost: Cost, gate: Gate | None) -> None:
        reservation = ledger.reserve(week(), cost, YEARLY)
        with pytest.raises(BadInput, match="go together"):
            ledger.commit(reservation, PAYLOAD, gate)


class TestBudgets:
    def test_a_budget_is_spent_to_the_last_digit(self, ledger: Ledger) -> None:
        for number in range(3):
            ledger.reserve(week(release=str(number)), TENTH, room_for(3))
        assert ledger.spent("users", "week", MONDAY) == Decimal("0.3")
        with pytest.raises(BudgetExhausted, match=r"^population users has spent rho 0\.3 of 0\.3 in 2026-W13"):
            ledger.reserve(week(release="4"), Cost(Decimal("1e-30")), room_for(3))
        assert ledger.length == 4, "a refusal leaves no trace and spends nothing"

    def test_each_window_is_checked_by_the_start_of_the_period(self, ledger: Ledger) -> None:
        quarterly = Budget("users", {"week": Decimal("0.1"), "quarter": Decimal("0.1"), "lifetime": Decimal("0.2")})
        ledger.reserve(week(0), TENTH, quarterly)
        with pytest.raises(BudgetExhausted, match="2026-Q1"):
            ledger.reserve(week(1), TENTH, quarterly)  # starts on 30 March, though it ends in April
        ledger.reserve(week(2), TENTH, quarterly)
        with pytest.raises(BudgetExhausted, match="lifetime"):
            ledger.reserve(week(52), TENTH, quarterly)

    def test_days_and_weeks_share_a_budget_and_populations_do_not(self, ledger: Ledger) -> None:
        sunday = MONDAY + timedelta(6)
        ledger.reserve(week(), TENTH, YEARLY)
        ledger.reserve(Slot("users", "r", "day", sunday, sunday + timedelta(1), "s", "p"), TENTH, YEARLY)
        ledger.reserve(week(population="staff"), TENTH, Budget("staff", {"year": Decimal("0.1")}))
        assert ledger.spent("users", "week", MONDAY) == Decimal("0.2")
        assert ledger.spent("staff", "lifetime", MONDAY) == Decimal("0.1")
        assert [charge.slot.population for charge in ledger.charges()] == ["users", "users", "staff"]
        assert [charge.cost for charge in ledger.charges("staff")] == [TENTH]

    def test_report(self, ledger: Ledger) -> None:
        budget = Budget("users", {"quarter": Decimal("0.125"), "year": Decimal("1")})
        for number, cost in enumerate([GATED, COST, GATED]):
            ledger.reserve(week(number), cost, budget)
        rows = [
            (
                row.window,
                row.label,
                str(row.spent),
                row.share,
                row.warning,
                len(row.draws),
                str(row.delta_gate),
            )
            for row in ledger.report("users")
        ]
        assert rows == [
            ("week", "2026-W13", "0.05", None, False, 1, "1.07E-8"),
            ("week", "2026-W14", "0.05", None, False, 0, "0"),
            ("week", "2026-W15", "0.05", None, False, 1, "1.07E-8"),
            ("quarter", "2026-Q1", "0.10", Decimal("0.8"), True, 1, "1.07E-8"),
            ("quarter", "2026-Q2", "0.05", Decimal("0.4"), False, 1, "1.07E-8"),
            ("year", "2026", "0.15", Decimal("0.15"), False, 2, "2.14E-8"),
            ("lifetime", "lifetime", "0.15", None, False, 2, "2.14E-8"),
        ]
        assert ledger.report() == ledger.report("users")
        assert ledger.report("staff") == []

    def test_the_limit_reported_is_the_one_last_enforced(self, ledger: Ledger) -> None:
        for number, limit in enumerate(["2.6", "1.3"]):
            ledger.reserve(week(number), COST, Budget("users", {"year": Decimal(limit)}))
        assert [row.limit for row in ledger.report() if row.window == "year"] == [Decimal("1.3")]


def test_amounts_are_stored_as_the_text_they_were(used: Ledger, url: str) -> None:
    with raw(url) as connection:
        record = str(connection.exec_driver_sql("SELECT record FROM entries WHERE seq = 2").scalar())
    facts = json.loads(record)["facts"]
    assert (facts["rho"], facts["delta_gate"], facts["limits"]) == ("0.05", "1.07E-8", {"year": "2.6"})
