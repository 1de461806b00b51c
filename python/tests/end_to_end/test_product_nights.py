"""The tenant plane as a whole: what several nights make of the rows is what one night makes of them."""

import random
import shutil
from dataclasses import dataclass
from typing import Any

import pytest

from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night
from tests.end_to_end.test_funnels import declare_others, expected, mart

# All that is kept of a tenant; of equal rows one stays, and which file it stood in says nothing.
KEPT = """
select table_name
from information_schema.columns
where column_name = 'tenant_key' and regexp_matches(table_name, '^(dim|fct|mart)_')
order by all
"""


def tenant_plane(workspace: Workspace) -> dict[str, dict[str, list[tuple[Any, ...]]]]:
    """Return the rows of each relation that is kept, by tenant."""
    return {
        name: worlds.rows_by_tenant(workspace, f"select tenant_key, * exclude (tenant_key) from {name} order by all")
        for (name,) in worlds.fetch(workspace, "tenant", KEPT)
    }


@dataclass(frozen=True)
class InBatches:
    workspace: Workspace
    before: dict[str, dict[str, list[tuple[Any, ...]]]]  # the last night, in which nothing landed


@pytest.fixture(scope="module")
def in_batches(product_night: Night, tmp_path_factory: pytest.TempPathFactory) -> InBatches:
    """The files of that night in two, in no order, the first in batches; under its own funnels only at the end."""
    once = product_night.workspace
    workspace = worlds.sibling(once, tmp_path_factory.mktemp("in_batches") / "w", keep=lambda _file: False)
    declare_others(workspace)
    files = sorted((once.landing / "quorum").iterdir())
    random.Random(5).shuffle(files)
    (workspace.landing / "quorum").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for batch, parts in enumerate((3, 1)):
            patch.setenv("QUORUM_BATCH_ROWS", str(product_night.report.rows["read"] // parts))
            for file in files[batch::2]:
                shutil.copy2(file, workspace.landing / "quorum")
            worlds.build(workspace)
    assert mart(workspace) == expected(workspace) != mart(once)
    before = tenant_plane(workspace)
    shutil.copy2(once.registry / "funnels.csv", workspace.registry)
    worlds.build(workspace)
    return InBatches(workspace, before)


def test_nights_in_any_order_give_what_one_night_gives(product_night: Night, in_batches: InBatches) -> None:
    once, batches = tenant_plane(product_night.workspace), tenant_plane(in_batches.workspace)
    assert batches.keys() == once.keys()
    for relation, rows in once.items():
        assert batches[relation] == rows, relation
    tenants = {relation: len(rows) for relation, rows in once.items() if relation.startswith("mart_tenant_")}
    # every mart has something to say of every tenant, but that three of them run no experiment
    assert tenants == {relation: 3 if relation == "mart_tenant_experiments" else 6 for relation in tenants}


def test_a_night_without_new_rows_changes_nothing_but_what_was_declared_anew(in_batches: InBatches) -> None:
    after = tenant_plane(in_batches.workspace)
    changed = {relation for relation, rows in in_batches.before.items() if after[relation] != rows}
    assert "mart_tenant_funnels" in changed
    assert not [relation for relation in changed if "funnel" not in relation]
