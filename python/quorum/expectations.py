"""The gate: what has to hold of the marts before anybody may see them. The only importer of great_expectations.

Results are BOOLEAN_ONLY, so a failure names an expectation and a column and never a value.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from quorum.errors import Refused
from quorum.marts import Relation
from quorum.metrics import SELECTION
from quorum.policy import MAX_DELTA, MAX_RHO, MAX_TOLERANCE_POINTS

if TYPE_CHECKING:
    import pandas as pd

# Shapes that an identifier has and a pseudonym, label or figure has not.
PERSONAL_DATA = (
    r"[^\s@]+@[^\s@]+\.[^\s@]+",  # e-mail
    r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b",  # IPv4
    r"\b[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{0,4}){4,}",  # IPv6
    r"(?<!\d)(?!\d{4}-\d\d-\d\d(?!\d))\+?\d[\d ().-]{8,}\d",  # phone; a date may stand in a label
)
COLUMNS = "expect_table_columns_to_match_ordered_list"
PSEUDONYM = r"^[0-9a-f]{32}$"
LARGEST_RHO = float(max(MAX_RHO.values()))
WITHHELD = ("ineligible", "imprecise", "budget")
PRIVACY = ("rho", "epsilon", "delta", "tolerance_points")
RANDOM = ("answer_id", "policy_version")  # hexadecimal, in which a pattern may turn up by chance
# a quantile in the last bin, and a ratio with an unbounded interval, are released without a figure
ALWAYS_RELEASED = ("users", "active_users", "adopters", "adoption_share")


@dataclass(frozen=True)
class Suite:
    """The expectations of one mart: its columns in order, and what must hold of its rows."""

    mart: str
    columns: tuple[str, ...]
    of_rows: tuple[Any, ...]


@dataclass(frozen=True)
class Range:
    """Where the values of a metric have to lie, ends included; None where it is open."""

    metric: str
    minimum: Decimal | None
    maximum: Decimal | None


class Gate:
    """Checks one mart after the other."""

    def __init__(self) -> None:
        self._gx = _great_expectations()
        context = self._gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        asset = context.data_sources.add_pandas("warehouse").add_dataframe_asset("mart")
        self._mart = asset.add_batch_definition_whole_dataframe("whole")

    def check(self, suite: Suite, frame: "pd.DataFrame") -> None:
        """Validate a mart; raises Refused that names the first expectation that failed, and what to do."""
        expectations = [self._gx.expectations.ExpectTableColumnsToMatchOrderedList(column_list=list(suite.columns))]
        if len(frame):  # else all that is said of rows holds
            expectations += suite.of_rows
        result = self._mart.get_batch({"dataframe": frame}).validate(
            self._gx.ExpectationSuite(name=suite.mart, expectations=expectations), result_format="BOOLEAN_ONLY"
        )
        failed = [outcome.expectation_config for outcome in result.results if not outcome.success]
        if failed:
            # columns that are not there fail all that is said of them
            first = min(failed, key=lambda config: config.type != COLUMNS)
            about = ", ".join(_columns_of(first.kwargs)) if first.type != COLUMNS else ""
            raise Refused(
                f"{suite.mart} fails {first.type}{f' on {about}' if about else ''}: "
                "the last release stays; look at the mart in warehouse/ and run again"
            )


def _columns_of(arguments: dict[str, Any]) -> list[str]:
    names = [arguments[name] for name in ("column", "column_A", "column_B") if name in arguments]
    return names or list(arguments.get("column_list", ()))


def tenant_mart(mart: Relation, ranges: Sequence[Range]) -> Suite:
    """Return the suite of a tenant's mart: what its contract says, its grain, and where its metrics may lie.

    A text column that ends in ``_key`` is a pseudonym; in any other nothing may look like personal data. A column with
    both a ``_low`` and a ``_high`` beside it lies between the two.
    """
    gxe = _great_expectations().expectations
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


def benchmark_mart(mart: Relation, features: Sequence[str]) -> Suite:
    """Return the suite of a benchmark mart; it reads noisy data only.

    What is a figure is empty where it is withheld: every number but the privacy parameters and what is public of the
    error. ``features`` are the public keys that a column ``feature`` may hold.
    """
    gxe = _great_expectations().expectations
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


def _nothing_personal(column: str) -> Any:
    return _great_expectations().expectations.ExpectColumnValuesToNotMatchRegexList(
        column=column, regex_list=list(PERSONAL_DATA)
    )


def _float(bound: Decimal | None) -> float | None:
    return None if bound is None else float(bound)


def _great_expectations() -> Any:
    # read when the library is imported: nothing calls home, nothing draws over the terminal
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations

    # a logger that sets its own level on import and reports each temporary folder
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.ERROR)
    return great_expectations
