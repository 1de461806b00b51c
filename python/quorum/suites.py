"""What has to hold of each mart before anybody may see it, as suites of expectations."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from quorum.expectations import Suite, great_expectations
from quorum.ledger import Answer
from quorum.marts import Relation
from quorum.metrics import SELECTION
from quorum.policy import MAX_DELTA, MAX_RHO, MAX_TOLERANCE_POINTS

# Shapes that an identifier has and a pseudonym, label or figure has not.
PERSONAL_DATA = (
    r"[^\s@]+@[^\s@]+\.[^\s@]+",  # e-mail
    r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b",  # IPv4
    r"\b[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{0,4}){4,}",  # IPv6
    r"(?<!\d)(?!\d{4}-\d\d-\d\d(?!\d))\+?\d[\d ().-]{8,}\d",  # phone; a date may stand in a label
)
PSEUDONYM = r"^[0-9a-f]{32}$"
LARGEST_RHO = float(max(MAX_RHO.values()))
WITHHELD = ("ineligible", "imprecise", "budget")
PRIVACY = ("rho", "epsilon", "delta", "tolerance_points")
LEDGER_FACTS = ("rho", "epsilon", "delta", "policy_version")
RANDOM = ("answer_id", "policy_version")  # hexadecimal, in which a pattern may turn up by chance
# a quantile in the last bin, and a ratio with an unbounded interval, are released without a figure
ALWAYS_RELEASED = ("users", "active_users", "adopters", "adoption_share")
LEAST_PERCENT_LEFT = 50  # of the rows that a tenant's mart had in the last release
MOST_CHANGE = 1e-9  # of a released figure, by its size: it is computed anew from the same stored answer


@dataclass(frozen=True)
class Range:
    """Where the values of a metric have to lie, ends included; None where it is open."""

    metric: str
    minimum: Decimal | None
    maximum: Decimal | None


@dataclass(frozen=True)
class Fact:
    """What the ledger says of an answer, as the marts show it."""

    answer_id: str
    rho: float
    epsilon: float
    delta: float
    policy_version: str

    @classmethod
    def of(cls, answer: Answer) -> "Fact":
        content = answer.payload
        rho, delta = float(content["rho"]), float(content["delta"])
        return cls(answer.id, rho, content["epsilon"], delta, content["policy_version"])


def tenant_mart(mart: Relation, ranges: Sequence[Range]) -> Suite:
    """Return the suite of a tenant's mart: what its contract says, its grain, and where its metrics may lie.

    A text column that ends in ``_key`` is a pseudonym; in any other nothing may look like personal data. A column with
    both a ``_low`` and a ``_high`` beside it lies between the two.
    """
    gxe = great_expectations().expectations
    names = [column.name for column in mart.columns]
    text = [column.name for column in mart.columns if column.data_type == "varchar"]
    pseudonyms = [name for name in text if name.endswith("_key")]
    intervals = [name for name in names if {f"{name}_low", f"{name}_high"} <= set(names)]
    return Suite(
        mart.name,
        tuple(names),
        (
            gxe.ExpectCompoundColumnsToBeUnique(column_list=list(mart.grain)),
            *(gxe.ExpectColumnValuesToMatchRegex(column=name, regex=PSEUDONYM) for name in pseudonyms),
            *(_nothing_personal(name) for name in text if name not in pseudonyms),
            *(gxe.ExpectColumnValuesToNotBeNull(column=column.name) for column in mart.columns if column.required),
            *(
                gxe.ExpectColumnValuesToBeBetween(
                    column=each.metric, min_value=_float(each.minimum), max_value=_float(each.maximum)
                )
                for each in ranges
            ),
            *(
                gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                    column_A=upper, column_B=lower, or_equal=True, ignore_row_if="either_value_is_missing"
                )
                for name in intervals
                for lower, upper in ((f"{name}_low", name), (name, f"{name}_high"))
            ),
        ),
    )


def benchmark_mart(mart: Relation, features: Sequence[str], facts: Sequence[Fact]) -> Suite:
    """Return the suite of a benchmark mart; it reads noisy data only.

    What a row says of its privacy is what the ledger says of its answer, and no other answer is shown. What is a figure
    is empty where it is withheld: every number but the privacy parameters and what is public of the error.
    ``features`` are the public keys that a column ``feature`` may hold.
    """
    gxe = great_expectations().expectations
    from great_expectations.expectations.row_conditions import Column

    status = Column("status")
    text = [column.name for column in mart.columns if column.data_type == "varchar" and column.name not in RANDOM]
    numbers = [column.name for column in mart.columns if column.data_type == "double" and column.name not in PRIVACY]
    names = [column.name for column in mart.columns]
    is_figure = "status" in names
    withheld = [name for name in numbers if is_figure and not name.endswith("_sigma") and name != "error_points"]
    has_figure = status == "released"
    if "kind" in names:  # what is released of a selection is the key
        has_figure &= Column("kind") != SELECTION
    return Suite(
        mart.name,
        tuple(names),
        (
            gxe.ExpectCompoundColumnsToBeUnique(column_list=list(mart.grain)),
            *(_nothing_personal(column) for column in text),
            *(gxe.ExpectColumnValuesToNotBeNull(column=column.name) for column in mart.columns if column.required),
            *(
                gxe.ExpectColumnValuesToBeInSet(column="status", value_set=["released", *WITHHELD])
                for name in names
                if name == "status"
            ),
            *(
                gxe.ExpectColumnValuesToBeInSet(column="feature", value_set=list(features))
                for name in names
                if name == "feature"
            ),
            *(_as_in_the_ledger(fact, facts) for fact in LEDGER_FACTS if "answer_id" in names),
            gxe.ExpectColumnValuesToBeBetween(column="rho", strict_min=True, min_value=0, max_value=LARGEST_RHO),
            gxe.ExpectColumnValuesToBeBetween(column="delta", strict_min=True, min_value=0, max_value=float(MAX_DELTA)),
            gxe.ExpectColumnValuesToBeBetween(column="tolerance_points", max_value=float(MAX_TOLERANCE_POINTS)),
            *(
                gxe.ExpectColumnValuesToNotBeNull(column=column, row_condition=has_figure)
                for column in withheld
                if column in ALWAYS_RELEASED
            ),
            *(gxe.ExpectColumnValuesToBeNull(column=column, row_condition=status != "released") for column in withheld),
        ),
    )


def kept_rows() -> Suite:
    """Return the suite of how many rows of each tenant's mart are left since the last release."""
    gxe = great_expectations().expectations
    return Suite(
        "rows_since_the_last_release",
        ("tenant_key", "mart", "percent_left"),
        (gxe.ExpectColumnValuesToBeBetween(column="percent_left", min_value=LEAST_PERCENT_LEFT),),
    )


def kept_figures() -> Suite:
    """Return the suite of how far released figures are from what the last release said of them."""
    gxe = great_expectations().expectations
    return Suite(
        "figures_since_the_last_release",
        ("mart", "change"),
        (gxe.ExpectColumnValuesToBeBetween(column="change", max_value=MOST_CHANGE),),
    )


def _as_in_the_ledger(fact: str, facts: Sequence[Fact]) -> Any:
    return great_expectations().expectations.ExpectColumnPairValuesToBeInSet(
        column_A="answer_id",
        column_B=fact,
        value_pairs_set=[(each.answer_id, getattr(each, fact)) for each in facts],
        ignore_row_if="either_value_is_missing",
    )


def _nothing_personal(column: str) -> Any:
    return great_expectations().expectations.ExpectColumnValuesToNotMatchRegexList(
        column=column, regex_list=list(PERSONAL_DATA)
    )


def _float(bound: Decimal | None) -> float | None:
    return None if bound is None else float(bound)
