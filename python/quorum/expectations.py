"""The gate: what has to hold of the marts before anybody may see them. The only importer of great_expectations.

Results are BOOLEAN_ONLY, so a failure names an expectation and a column and never a value.
"""

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quorum.errors import Refused
from quorum.policy import MAX_DELTA, MAX_RHO, MAX_TOLERANCE_POINTS

if TYPE_CHECKING:
    import pandas as pd

# Shapes that an identifier has and a pseudonym, label or figure has not.
PERSONAL_DATA = (
    r"[^\s@]+@[^\s@]+\.[^\s@]+",  # e-mail
    r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b",  # IPv4
    r"\b[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{0,4}){4,}",  # IPv6
    r"\+?\d[\d ().-]{8,}\d",  # phone
)
PSEUDONYM = r"^[0-9a-f]{32}$"
LARGEST_RHO = float(max(MAX_RHO.values()))


@dataclass(frozen=True)
class Suite:
    """The expectations of one mart: its columns in order, its text columns, and what else must hold."""

    mart: str
    columns: tuple[str, ...]
    text: tuple[str, ...]
    particular: tuple[Any, ...]


def check(suite: Suite, frame: "pd.DataFrame") -> None:
    """Validate a mart; raises Refused that names the first expectation that failed, and what to do."""
    gx = _great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("marts").add_dataframe_asset(suite.mart)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    expectations = [gx.expectations.ExpectTableColumnsToMatchOrderedList(column_list=list(suite.columns))]
    expectations += [
        gx.expectations.ExpectColumnValuesToNotMatchRegexList(column=column, regex_list=list(PERSONAL_DATA))
        for column in suite.text
    ]
    expectations += suite.particular
    result = batch.validate(
        gx.ExpectationSuite(name=suite.mart, expectations=expectations), result_format="BOOLEAN_ONLY"
    )
    for outcome in result.results:
        if not outcome.success:
            config = outcome.expectation_config
            column = config.kwargs.get("column")
            raise Refused(
                f"{suite.mart} fails {config.type}{f' on {column}' if column else ''}: "
                "the last release stays; look at the mart in warehouse/ and run again"
            )


def tenant_daily(columns: tuple[str, ...]) -> Suite:
    """Return the suite of ``mart_tenant_daily``."""
    gxe = _great_expectations().expectations
    counts = ("daily_active_users", "weekly_active_users", "monthly_active_users", "events", "sessions")
    return Suite(
        "mart_tenant_daily",
        columns,
        (),
        (
            gxe.ExpectCompoundColumnsToBeUnique(column_list=["tenant_key", "activity_date"]),
            gxe.ExpectColumnValuesToMatchRegex(column="tenant_key", regex=PSEUDONYM),
            *(gxe.ExpectColumnValuesToNotBeNull(column=column) for column in ("activity_date", *counts)),
            *(gxe.ExpectColumnValuesToBeBetween(column=column, min_value=0) for column in counts),
        ),
    )


def benchmark_features(columns: tuple[str, ...], features: list[str]) -> Suite:
    """Return the suite of ``mart_benchmark_features``; it reads noisy data only."""
    gxe = _great_expectations().expectations
    from great_expectations.expectations.row_conditions import Column

    status = Column("status")
    withheld = ["ineligible", "imprecise", "budget"]
    return Suite(
        "mart_benchmark_features",
        columns,
        ("cohort_key", "cohort_industry", "cohort_region", "cohort_size_band", "feature"),
        (
            gxe.ExpectCompoundColumnsToBeUnique(
                column_list=["period", "period_start", "cohort_level", "cohort_key", "feature"]
            ),
            gxe.ExpectColumnValuesToBeInSet(column="status", value_set=["released", *withheld]),
            gxe.ExpectColumnValuesToBeInSet(column="feature", value_set=features),
            gxe.ExpectColumnValuesToBeBetween(column="rho", strict_min=True, min_value=0, max_value=LARGEST_RHO),
            gxe.ExpectColumnValuesToBeBetween(column="delta", strict_min=True, min_value=0, max_value=float(MAX_DELTA)),
            gxe.ExpectColumnValuesToBeBetween(column="tolerance_points", max_value=float(MAX_TOLERANCE_POINTS)),
            gxe.ExpectColumnValuesToNotBeNull(column="adoption_share", row_condition=status == "released"),
            *(
                gxe.ExpectColumnValuesToBeNull(column=column, row_condition=status != "released")
                for column in ("adoption_share", "adopters", "active_users")
            ),
        ),
    )


def _great_expectations() -> Any:
    # read when the library is imported: nothing calls home, nothing draws over the terminal
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations

    # a logger that sets its own level on import and reports each temporary folder
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.ERROR)
    return great_expectations
