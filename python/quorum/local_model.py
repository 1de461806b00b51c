"""The local model: a source that trusts nobody with a choice of its users sends a randomised one.

Each user's choice is told as it is with probability p, else as any other one alike (randomised response, Warner 1965):
e^epsilon / (e^epsilon + k - 1) over k choices. That is epsilon-DP for the choice against whoever sees it, Quorum
included. A user must be given one answer and not a new one each time, for many answers would tell the truth.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from quorum.errors import BadInput

MAX_EPSILON = 20


def truth_probability(epsilon: Decimal, choices: int) -> float:
    """Return how often the truth is told. Rounded down, so that what is proven of it is never above epsilon.

    Raises BadInput unless 0 < epsilon <= 20 and there are at least two choices.
    """
    if not 0 < epsilon <= MAX_EPSILON:
        raise BadInput(f"a randomised response has an epsilon above 0 and at most {MAX_EPSILON}, not {epsilon}")
    if choices < 2:
        raise BadInput("a randomised response needs at least two choices")
    odds = math.exp(float(epsilon))
    return odds / (odds + choices - 1) * (1 - 1e-12)


def lie_probability(epsilon: Decimal, choices: int) -> float:
    """Return how often each of the other choices is told."""
    return (1 - truth_probability(epsilon, choices)) / (choices - 1)


def read_epsilon(text: str) -> Decimal:
    """Return an epsilon as it is written; raises BadInput for what is no number."""
    try:
        return Decimal(text)
    except InvalidOperation:
        raise BadInput(f"epsilon must be a number, not {text!r}") from None


class Randomiser:
    """Answers for the users of one source, and remembers what it said for whom."""

    def __init__(self, choices: Sequence[str], epsilon: Decimal, memory: dict[str, str] | None = None) -> None:
        from quorum import mechanisms

        self.choices = tuple(choices)
        self._draw: Callable[[str], str] = mechanisms.randomised_response(
            self.choices, truth_probability(epsilon, len(set(self.choices))), epsilon
        )
        self.memory = {} if memory is None else memory

    def answer(self, user: str, choice: str) -> str:
        """Return the answer for a user, the same each time, whatever is chosen later.

        Raises BadInput, without the value, for what is none of the choices.
        """
        if choice not in self.choices:
            raise BadInput("a value is none of the choices")
        if user not in self.memory:
            self.memory[user] = self._draw(choice)
        return self.memory[user]


def randomised(lines: Iterable[str], property_name: str, user_field: str, randomiser: Randomiser) -> Iterator[str]:
    """Yield JSON lines with one property randomised, at the top or below ``properties``; others stay as they are.

    Raises BadInput that names the line for what is no JSON object, or says a choice and no user.
    """
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            places = [place for place in (row, row.get("properties")) if isinstance(place, dict)]
        except (ValueError, AttributeError):
            raise BadInput(f"line {number} is no JSON object: nothing was written") from None
        for place in places:
            if place.get(property_name) is not None:
                place[property_name] = _answer(number, row.get(user_field), place[property_name], randomiser)
        yield json.dumps(row, ensure_ascii=False) + "\n"


def _answer(number: int, user: Any, choice: Any, randomiser: Randomiser) -> str:
    if not isinstance(user, str) or not user.strip():
        raise BadInput(f"line {number} says a choice and no user: nothing was written")
    try:
        return randomiser.answer(user.strip().lower(), str(choice))
    except BadInput as error:
        raise BadInput(f"line {number}: {error}: nothing was written") from None


def randomise_file(
    source: Path,
    target: Path,
    *,
    memory: Path,
    property_name: str,
    user_field: str,
    choices: Sequence[str],
    epsilon: Decimal,
) -> int:
    """Write a file of JSON lines with a property randomised, and what was said for whom into the source's ``memory``.

    The memory is written first and whole: an answer that got out is never drawn again. Returns the users it knows.
    """
    try:
        known = json.loads(memory.read_text("utf-8")) if memory.exists() else {}
        randomiser = Randomiser(choices, epsilon, known)
        with source.open(encoding="utf-8") as lines:
            written = list(randomised(lines, property_name, user_field, randomiser))
        partial = memory.with_name(f"{memory.name}.part")
        partial.write_text(json.dumps(randomiser.memory), encoding="utf-8")
        partial.chmod(0o600)
        partial.replace(memory)
        target.write_text("".join(written), encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot randomise {source.name}: {type(error).__name__}") from None
    except json.JSONDecodeError:
        raise BadInput(f"{memory} cannot be read: put the newest copy back") from None
    return len(randomiser.memory)
