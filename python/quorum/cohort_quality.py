"""What was answered, beside what is exact about it: the groups that the tests of ``cohort_quality`` judge.

Which groups are eligible is known once an answer is in the ledger. Their sizes are still in the cross-tenant plane
then, where nothing else in dbt may read the bounded cells.
"""

from collections.abc import Callable, Iterable
from typing import Any

import duckdb
import pyarrow as pa

from quorum import warehouse
from quorum.bounding import COUNT
from quorum.errors import QuorumError
from quorum.key_selection import SELECTED
from quorum.ledger import Answer
from quorum.policy import ATOM
from quorum.runner import Dbt
from quorum.workspace import Workspace

GROUPS = pa.schema(
    [
        ("answer_id", pa.string()),
        ("release", pa.string()),
        ("period_start", pa.date32()),
        ("cohort_key", pa.string()),
        ("segment", pa.string()),
        ("is_eligible", pa.bool_()),
        *((name, pa.int64()) for name in ("contributors", "users", "weight", "largest_weight")),
        ("min_tenants", pa.int64()),
        ("tenant_cap", pa.int64()),
        ("is_checked", pa.bool_()),
    ]
)


def check(workspace: Workspace, dbt: Dbt, answers: Iterable[Answer], progress: Callable[[str], None]) -> None:
    """Hold what was answered to its guarantees; until that passes, no night gets as far as publishing.

    Raises QuorumError that names the tests that failed.
    """
    if not _record(workspace, answers):
        return
    progress("checking the cohorts")
    try:
        dbt.build("cohort_quality", "cross_tenant")
    except QuorumError as error:
        raise QuorumError(f"nothing is published, for a cohort breaks its guarantees: {error}") from error
    with warehouse.opened(workspace, "cross_tenant") as connection:
        connection.execute("update measured_groups set is_checked = true")


def _record(workspace: Workspace, answers: Iterable[Answer]) -> bool:
    """Write ``measured_groups`` where an answer over the present cells is not in it; tell whether any is unchecked.

    A night that was killed after it answered is made good by the next one, before that measures anything else.
    """
    if not workspace.plane("cross_tenant").exists():
        return False
    with warehouse.opened(workspace, "cross_tenant") as connection:
        if not warehouse.has(connection, "release_periods"):
            return False
        periods = warehouse.rows(connection, "select * from release_periods")
        # a warehouse from before there were deeper looks has releases alone
        asked = {(each.get("measured_as", each["release"]), each["period_start"]): each for each in periods}
        answered = [
            answer
            for answer in answers
            # a selection of keys is about no cohort, and checks its keys itself
            if (answer.slot.release, answer.slot.start) in asked and SELECTED not in answer.payload
        ]
        is_there = warehouse.has(connection, "measured_groups")
        known = warehouse.rows(connection, "select answer_id from measured_groups") if is_there else []
        if not is_there or {answer.id for answer in answered} - {group["answer_id"] for group in known}:
            groups = [
                group
                for answer in answered
                for group in _groups(connection, answer, asked[answer.slot.release, answer.slot.start])
            ]
            warehouse.replace(connection, "measured_groups", pa.Table.from_pylist(groups, GROUPS))
        return bool(warehouse.rows(connection, "select 1 from measured_groups where not is_checked limit 1"))


def _groups(connection: duckdb.DuckDBPyConnection, answer: Answer, period: dict[str, Any]) -> list[dict[str, Any]]:
    eligible = {
        (cohort["key"], cohort["segment"])
        for cohort in answer.payload["cohorts"]
        if cohort["level"] == ATOM and cohort["members"]
    }
    sizes = warehouse.rows(
        connection,
        "select cohort_key, segment, contributors, users, value // ? as weight, largest_weight "
        f"from dp_{period['release']} where period_start = ? and metric = ?",
        [period["count_scale"], answer.slot.start, COUNT],
    )
    return [
        {
            "answer_id": answer.id,
            "release": answer.slot.release,
            "period_start": answer.slot.start,
            "is_eligible": (size["cohort_key"], size["segment"]) in eligible,
            **size,
            "min_tenants": period["min_tenants"],
            "tenant_cap": period["tenant_cap"],
            "is_checked": False,
        }
        for size in sizes
    ]
