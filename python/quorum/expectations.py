"""Running expectations over marts. The only importer of great_expectations.

Results are BOOLEAN_ONLY, so a failure names an expectation and a column and never a value, and neither do the pages
that are made of them (Data Docs).
"""

import logging
import os
import shutil
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = "expect_table_columns_to_match_ordered_list"


@dataclass(frozen=True)
class Suite:
    """The expectations of one relation: its columns in order, and what must hold of its rows."""

    mart: str
    columns: tuple[str, ...]
    of_rows: tuple[Any, ...]


@dataclass(frozen=True)
class Failure:
    """The first expectation that a relation failed, and the columns that it speaks of."""

    mart: str
    expectation: str
    about: tuple[str, ...]

    @property
    def is_of_columns(self) -> bool:
        """Whether the relation is made otherwise than its contract says, whatever is in it."""
        return self.expectation == COLUMNS

    def __str__(self) -> str:
        about = "" if self.is_of_columns else ", ".join(self.about)
        return f"{self.mart} fails {self.expectation}{f' on {about}' if about else ''}"


class Gate:
    """Checks one relation after the other, and keeps what came of it for the operator's pages."""

    def __init__(self) -> None:
        self._gx = great_expectations()
        context = self._gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        asset = context.data_sources.add_pandas("warehouse").add_dataframe_asset("mart")
        self._whole = asset.add_batch_definition_whole_dataframe("whole")
        self._checked: dict[str, Any] = {}

    def check(self, suite: Suite, frame: "pd.DataFrame") -> Failure | None:
        """Validate a relation, and keep the result for the pages; return the first expectation that failed."""
        self._checked[suite.mart] = self._validated(suite, frame)
        return _first_failure(suite, self._checked[suite.mart])

    def recheck(self, suite: Suite, frame: "pd.DataFrame") -> Failure | None:
        """Validate a part of a relation, and keep nothing of it."""
        return _first_failure(suite, self._validated(suite, frame))

    def write_pages(self, folder: Path) -> None:
        """Write Data Docs of all that was checked, in place of those that are there."""
        from great_expectations.render.renderer import ValidationResultsPageRenderer
        from great_expectations.render.view import DefaultJinjaPageView

        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for mart, result in self._checked.items():
            page = DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(result))
            (folder / f"{mart}.html").write_text(page, encoding="utf-8")

    def _validated(self, suite: Suite, frame: "pd.DataFrame") -> Any:
        expected = [self._gx.expectations.ExpectTableColumnsToMatchOrderedList(column_list=list(suite.columns))]
        if len(frame):  # else all that is said of rows holds
            expected += map(copy, suite.of_rows)  # an expectation belongs to one suite only
        result = self._whole.get_batch({"dataframe": frame}).validate(
            self._gx.ExpectationSuite(name=suite.mart, expectations=expected), result_format="BOOLEAN_ONLY"
        )
        for outcome in result.results:
            if outcome.expectation_config.type == COLUMNS:
                outcome.result["observed_value"] = list(frame.columns)  # a page asks for their names, which are public
        return result


def _first_failure(suite: Suite, result: Any) -> Failure | None:
    failed = [outcome.expectation_config for outcome in result.results if not outcome.success]
    if not failed:
        return None
    # columns that are not there fail all that is said of them
    first = min(failed, key=lambda config: config.type != COLUMNS)
    return Failure(suite.mart, first.type, tuple(_columns_of(first.kwargs)))


def _columns_of(arguments: dict[str, Any]) -> Sequence[str]:
    names = [arguments[name] for name in ("column", "column_A", "column_B") if name in arguments]
    return names or list(arguments.get("column_list", ()))


def great_expectations() -> Any:
    """Import the library: it takes seconds, and only who checks a mart needs it."""
    # read when the library is imported: nothing calls home, nothing draws over the terminal
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations

    # a logger that sets its own level on import and reports each temporary folder
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.ERROR)
    return great_expectations
