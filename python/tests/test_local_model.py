"""The local model: what one answer tells is proven and measured, and shares are freed of the lies without bias."""

import json
import math
import random
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quorum import figures
from quorum.bounding import layout
from quorum.errors import BadInput, Refused
from quorum.linear_forms import Forms, Vector
from quorum.local_model import Randomiser, lie_probability, truth_probability
from quorum.metrics import Metric, parse
from quorum.workspace import Workspace
from tests.bounded_vectors import Unit, vector
from tests.end_to_end.worlds import quorum

CHOICES = ("no", "some", "yes")
EPSILON = Decimal("1.1")
DECLARED = {"name": "opinion", "kind": "histogram", "estimand": "a share", "keys": list(CHOICES), "randomised": "1.1"}


def test_what_one_answer_tells_is_what_is_declared() -> None:
    """Over all pairs of choices, the most telling answer is e^epsilon times as likely for one as for the other."""
    truth, lie = truth_probability(EPSILON, 3), lie_probability(EPSILON, 3)
    assert truth + 2 * lie == pytest.approx(1)
    assert Decimal("1.099") < Decimal(math.log(truth / lie)) <= EPSILON
    number = 20_000
    randomiser = Randomiser(CHOICES, EPSILON)
    told = Counter(randomiser.answer(f"user {n}", "yes") for n in range(number))
    for choice in CHOICES:
        expected = truth if choice == "yes" else lie
        assert told[choice] / number == pytest.approx(expected, abs=5 * math.sqrt(expected / number))


def test_a_user_gets_one_answer_whatever_it_says_later() -> None:
    randomiser = Randomiser(CHOICES, EPSILON)
    first = randomiser.answer("ada", "yes")
    assert {randomiser.answer("ada", choice) for choice in CHOICES * 50} == {first}


@pytest.mark.parametrize("epsilon", ["0", "-1", "21", "Infinity"])
def test_an_epsilon_that_is_none_is_refused(epsilon: str) -> None:
    with pytest.raises(BadInput, match="epsilon above 0"):
        Randomiser(CHOICES, Decimal(epsilon))
    with pytest.raises((Refused, BadInput)):
        parse("r", [DECLARED | {"randomised": epsilon}])


def test_one_choice_is_no_choice() -> None:
    with pytest.raises(BadInput, match="at least two"):
        Randomiser(["yes", "yes"], EPSILON)
    with pytest.raises(Refused, match="two keys"):
        parse("r", [DECLARED | {"keys": ["yes"]}])


class TestFile:
    ROWS = (
        {"user_id": "Ada", "properties": {"opinion": "yes", "plan": "pro"}},
        {"user_id": "bob", "opinion": "no"},
        {"user_id": "ada ", "properties": {"opinion": "some"}},
        {"user_id": None, "properties": {"plan": "free"}},
    )

    def randomise(self, root: Path, rows: Any) -> Any:
        (root / "in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        told = {"property": "opinion", "choices": ",".join(CHOICES), "epsilon": "1.1", "memory": root / "memory"}
        options = [f"--{name}={value}" for name, value in told.items()]
        return quorum(Workspace(root), "randomise", str(root / "in.jsonl"), str(root / "out.jsonl"), *options)

    def test_a_source_sends_answers_and_no_choice(self, tmp_path: Path) -> None:
        for _ in range(2):  # the second file knows what was said in the first
            assert self.randomise(tmp_path, self.ROWS).exit_code == 0
            first, second, third, fourth = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
            memory = json.loads((tmp_path / "memory").read_text())
            assert first["properties"] == {"opinion": memory["ada"], "plan": "pro"}
            assert (second["opinion"], third["properties"]["opinion"]) == (memory["bob"], memory["ada"])
            assert fourth == self.ROWS[3]
            assert memory.keys() == {"ada", "bob"}
            assert (tmp_path / "memory").stat().st_mode & 0o777 == 0o600
            (tmp_path / "memory").write_text(json.dumps(memory | {"ada": "some"}))
        assert memory["ada"] == "some"

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            ({"user_id": "ada", "opinion": "secret"}, "line 1: a value is none of the choices"),
            ({"user_id": " ", "opinion": "yes"}, "line 1 says a choice and no user"),
            ([1], "line 1 is no JSON object"),
        ],
    )
    def test_what_cannot_be_randomised_stops_all(self, tmp_path: Path, row: Any, words: str) -> None:
        result = self.randomise(tmp_path, [row])
        assert result.exit_code == BadInput.exit_code
        assert f"{words}: nothing was written" in result.stderr
        assert "secret" not in result.output
        assert not (tmp_path / "out.jsonl").exists()
        assert not (tmp_path / "memory").exists()

    def test_a_memory_that_is_broken_is_not_begun_anew(self, tmp_path: Path) -> None:
        (tmp_path / "memory").write_text('{"ada": "y')
        result = self.randomise(tmp_path, self.ROWS)
        assert (result.exit_code, "put the newest copy back" in result.stderr) == (BadInput.exit_code, True)
        assert not (tmp_path / "out.jsonl").exists()


class TestEstimates:
    """The whole way from choices to shares, many times over."""

    TRUTH = (0.6, 0.3, 0.1)
    USERS, SCALE = 400, 9.0  # of each of five contributors; the noise, in users

    def estimates(self, metric: Metric, seed: int) -> list[figures.Figure]:
        dice = random.Random(seed)
        truth = truth_probability(EPSILON, 3)
        placed = layout([metric], {}, 1000)
        contributors: list[list[Unit]] = []
        for _ in range(5):
            choices = [dice.choices(range(3), self.TRUTH)[0] for _ in range(self.USERS)]
            told = [c if dice.random() < truth else dice.choice([o for o in range(3) if o != c]) for c in choices]
            contributors.append([(frozenset({choice}),) for choice in told])
        scale = self.SCALE * placed.blocks[0].scale
        noisy = [value + dice.gauss(0, scale) for value in vector(placed, contributors)]
        found = Vector(np.array(noisy), scale**2 * np.eye(4))
        return figures.figures(metric, Forms(placed), found)

    def test_shares_are_freed_of_the_lies(self) -> None:
        [metric] = parse("r", [DECLARED])
        rounds = 300
        found = [self.estimates(metric, seed) for seed in range(rounds)]
        for place, share in enumerate(self.TRUTH):
            values = [figure[place].estimate or 0 for figure in found]
            assert np.mean(values) == pytest.approx(share, abs=float(5 * np.std(values) / math.sqrt(rounds)))
            covered = [(f[place].estimate_low or 0) <= share <= (f[place].estimate_high or 1) for f in found]
            # lies are bounded by those of the most uncertain share, so intervals are a little wide
            assert np.mean(covered) > 0.93

    def test_without_that_the_lies_would_show(self) -> None:
        [metric] = parse("r", [{name: value for name, value in DECLARED.items() if name != "randomised"}])
        found = [self.estimates(metric, seed)[0] for seed in range(20)]
        assert all((figure.estimate_high or 1) < self.TRUTH[0] for figure in found)

    def test_an_interval_without_the_lies_would_be_too_short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        [metric] = parse("r", [DECLARED])
        monkeypatch.setattr(figures, "_lies", lambda _metric: 0.0)
        found = [self.estimates(metric, seed)[0] for seed in range(200)]
        assert np.mean([(f.estimate_low or 0) <= self.TRUTH[0] <= (f.estimate_high or 1) for f in found]) < 0.9

    def test_the_plan_says_from_how_many_users_on_a_share_is_shown(self) -> None:
        [metric] = parse("r", [DECLARED])
        placed = layout([metric], {}, 1000)
        scale = self.SCALE * placed.blocks[0].scale
        users = figures.precise_from(metric, placed, scale, 6)
        assert users is not None
        one_more = [[(frozenset({0}),)] * 1000] * (round(users) // 1000) + [[(frozenset({0}),)] * (round(users) % 1000)]
        everybody = np.array(vector(placed, one_more), dtype=float)
        found = figures.figures(metric, Forms(placed), Vector(everybody, scale**2 * np.eye(4)))
        assert max(figure.error_points or 0 for figure in found) == pytest.approx(6, rel=0.01)
