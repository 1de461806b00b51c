"""The funnels that tenants declare, over a simulated night and over nights that take the same rows in pieces."""

import csv
import shutil
from collections import Counter
from pathlib import Path

from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night
from tests.end_to_end.oracle import Oracle
from tests.end_to_end.truth_funnels import Row, truth

MART = "select * from mart_tenant_funnels order by all"
RELATIONS = (MART, "select * from fct_funnel_attempts order by all", "select * from fct_funnel_events order by all")


def mart(workspace: Workspace) -> dict[str, list[Row]]:
    return {tenant: [Row(*row) for row in rows] for tenant, rows in worlds.rows_by_tenant(workspace, MART).items()}


def expected(workspace: Workspace) -> dict[str, list[Row]]:
    return truth(Oracle(workspace.root, worlds.LAST_DAY), workspace.registry)


def other_funnels(line: dict[str, str]) -> list[dict[str, str]]:
    """Make another declaration of a line: longer windows, one funnel less, and what was strict is not."""
    if line["funnel"] == "buying on one plan":
        return []
    return [
        line | ({"grain": "account", "sequence": "any"} if line["sequence"] == "strict" else {"window_hours": "400"})
    ]


def test_the_mart_is_what_the_raw_rows_say(product_night: Night) -> None:
    found = mart(product_night.workspace)
    assert found == expected(product_night.workspace)
    second_steps: Counter[str] = Counter()
    for row in (row for rows in found.values() for row in rows if row.step == 2):
        second_steps.update({row.sequence: row.reached, row.grain: row.reached})
    assert min(second_steps[each] for each in ("ordered", "strict", "any", "account")) > 20


def test_pieces_and_other_definitions_give_the_same(product_night: Night, tmp_path: Path) -> None:
    """The last days land in a night of their own, under other funnels; then the funnels are as they are."""
    once = product_night.workspace
    *early, a, b, c, d = sorted(file.name for file in (once.landing / "quorum").iterdir())
    workspace = worlds.sibling(once, tmp_path, keep=lambda file: file.name in early)
    declared = workspace.registry / "funnels.csv"
    with declared.open(newline="") as file:
        lines = [changed for line in csv.DictReader(file) for changed in other_funnels(line)]
    with declared.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    worlds.build(workspace)
    for name in (a, b, c, d):
        shutil.copy2(once.landing / "quorum" / name, workspace.landing / "quorum")
    worlds.build(workspace)
    assert mart(workspace) == expected(workspace)
    shutil.copy2(once.registry / "funnels.csv", declared)
    worlds.build(workspace)
    for query in RELATIONS:
        assert worlds.rows_by_tenant(workspace, query) == worlds.rows_by_tenant(once, query)
