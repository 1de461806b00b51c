"""The project's own generic data tests, over rows that should pass and rows that should not."""

from typing import Any

import duckdb
import pyarrow as pa
import pytest

from quorum.runner import Dbt
from quorum.workspace import Workspace
from tests.planting import Bug, planted

UNIQUE_KEY = "{{ test_unique_key('given', ['tenant_key', 'day', 'feature'], nullable=['feature']) }}"
ROWS = {
    "tenant_key": ["a", "a", "a", "b", None, "c", "c", "d", "d"],
    "day": [1, 1, 2, 1, 1, None, None, 1, 1],
    "feature": ["x", None, "x", "x", "x", "x", "y", None, None],
}
TWICE = {("d", 1, None)}
WITHOUT_KEY = {(None, 1, "x"), ("c", None, "x"), ("c", None, "y")}
BUGS = {
    "a key of NULL is one": (
        Bug("test_unique_key", "or {{ column }} is null", ""),
        TWICE,
    ),
    "a key may come twice": (Bug("test_unique_key", "where copies > 1", "where false"), WITHOUT_KEY),
    "no column may be NULL": (
        Bug("test_unique_key", " if column not in nullable", ""),
        TWICE | WITHOUT_KEY | {("a", 1, None)},
    ),
}


@pytest.fixture(scope="module")
def dbt(tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    workspace = Workspace(tmp_path_factory.mktemp("workspace"))
    workspace.landing.mkdir()
    workspace.prepare()
    return Dbt(workspace)


def failing(dbt: Dbt) -> list[tuple[Any, ...]]:
    given = pa.table(ROWS)
    with duckdb.connect() as connection:
        connection.register("given", given)
        return connection.execute(dbt.compiled(UNIQUE_KEY)).fetchall()


def test_a_key_is_whole_and_unique(dbt: Dbt) -> None:
    found = failing(dbt)
    assert set(found) == TWICE | WITHOUT_KEY
    assert len(found) == len(set(found))


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, dbt: Dbt) -> None:
    bug, left = BUGS[name]
    with planted(dbt, bug):
        assert set(failing(dbt)) == left
