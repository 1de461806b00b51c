"""The funnels that tenants declare, over a simulated night."""

import csv
from collections import Counter

from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night
from tests.end_to_end.oracle import Oracle
from tests.end_to_end.truth_funnels import Row, truth

MART = "select * from mart_tenant_funnels order by all"


def mart(workspace: Workspace) -> dict[str, list[Row]]:
    return {tenant: [Row(*row) for row in rows] for tenant, rows in worlds.rows_by_tenant(workspace, MART).items()}


def expected(workspace: Workspace) -> dict[str, list[Row]]:
    return truth(Oracle(workspace.root, worlds.LAST_DAY), workspace.registry)


def declare_others(workspace: Workspace) -> None:
    """Change all funnels: longer windows, one funnel less, and what was strict is not."""
    declared = workspace.registry / "funnels.csv"
    with declared.open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["funnel"] != "buying on one plan"]
    for line in lines:
        line |= {"grain": "account", "sequence": "any"} if line["sequence"] == "strict" else {"window_hours": "400"}
    with declared.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def test_the_mart_is_what_the_raw_rows_say(product_night: Night) -> None:
    found = mart(product_night.workspace)
    assert found == expected(product_night.workspace)
    second_steps: Counter[str] = Counter()
    for row in (row for rows in found.values() for row in rows if row.step == 2):
        second_steps.update({row.sequence: row.reached, row.grain: row.reached})
    assert min(second_steps[each] for each in ("ordered", "strict", "any", "account")) > 20
