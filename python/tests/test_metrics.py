from decimal import Decimal
from typing import Any

import pytest

from quorum.errors import QuorumError
from quorum.metrics import Metric, parse

SOUND: list[dict[str, Any]] = [
    {"name": "users", "kind": "count", "estimand": "e"},
    {"name": "adoption", "kind": "distinct_users", "estimand": "e", "keys": "feature_catalog", "max_cells": 5},
    {"name": "spent", "kind": "sum", "estimand": "e", "low": 0, "high": 1000},
    {"name": "visits", "kind": "mean", "estimand": "e", "low": -3, "high": 20, "per": 7, "wanted_error": "0.1"},
    {"name": "each", "kind": "ratio", "estimand": "e", "numerator": "spent", "denominator": "visits", "ceiling": 9},
    {"name": "deepest", "kind": "histogram", "estimand": "e", "keys": ["a", "b"], "shows": "at_least"},
    {"name": "minutes", "kind": "quantile", "estimand": "e", "edges": [0, 5, 60], "shares": [0.5, 0.9]},
]


def test_each_kind_is_read() -> None:
    found = {metric.name: metric for metric in parse("r", SOUND)}
    assert list(found) == [each["name"] for each in SOUND]
    assert found["visits"] == Metric("visits", "mean", "e", low=-3, high=20, per=7, wanted_error=Decimal("0.1"))
    assert found["minutes"].shares == (Decimal("0.5"), Decimal("0.9"))
    assert found["deepest"].keys == ("a", "b")
    assert found["adoption"].keys == "feature_catalog"


@pytest.mark.parametrize(
    ("number", "change", "words"),
    [
        (0, {"kind": "median"}, "kind is one of"),
        (0, {"low": 3}, "a count has estimand"),
        (1, {"keys": 5}, "keys cannot be 5"),
        (1, {"max_cells": 0}, "max_cells must be at least 1"),
        (1, {"max_cells": True}, "max_cells must be a whole number"),
        (1, {"keys": ["a", "a"]}, "keys must differ"),
        (2, {"high": 0}, "low must be at most 0 and high above it"),
        (2, {"low": 1}, "low must be at most 0 and high above it"),
        (2, {"high": 1_000_001}, "at most 1000000 apart"),
        (2, {"high": 2.5}, "high must be a whole number"),
        (3, {"per": 0}, "per must be at least 1"),
        (3, {"wanted_error": 0}, "wanted_error must be above 0"),
        (3, {"wanted_error": "NaN"}, "wanted_error must be a number"),
        (4, {"numerator": "adoption"}, "is a ratio of two sums or means"),
        (4, {"ceiling": 0}, "ceiling must be at least 1"),
        (5, {"shows": "at_most"}, "shows must be share or at_least"),
        (6, {"edges": [5, 5]}, "edges must be at least two whole numbers that rise"),
        (6, {"edges": [5]}, "edges must be at least two whole numbers that rise"),
        (6, {"shares": [1]}, "shares must lie between 0 and 1"),
        (6, {"shares": ["much"]}, "shares must be a number"),
    ],
)
def test_a_metric_that_makes_no_sense_is_told_by_name(number: int, change: dict[str, Any], words: str) -> None:
    changed = [each | change if n == number else each for n, each in enumerate(SOUND)]
    with pytest.raises(QuorumError) as error:
        parse("r", changed)
    assert words in str(error.value)
    assert SOUND[number]["name"] in str(error.value)


@pytest.mark.parametrize("missing", ["estimand", "low"])
def test_what_a_kind_needs_is_told(missing: str) -> None:
    with pytest.raises(QuorumError, match="a sum has estimand, high, low, and may have wanted_error"):
        parse("r", [{key: value for key, value in SOUND[2].items() if key != missing}])


@pytest.mark.parametrize("declared", [None, [], {"name": "users"}, ["users"], [SOUND[0], SOUND[0]]])
def test_metrics_are_a_list_of_named_ones(declared: object) -> None:
    with pytest.raises(QuorumError, match=r"^release r: "):
        parse("r", declared)
