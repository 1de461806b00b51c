"""Features, retention and lifecycle, against the raw lines."""

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

import pytest

from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night
from tests.end_to_end.oracle import Oracle
from tests.end_to_end.truth_growth import Growth, growth

Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="module", params=["product_night", "in_batches"])
def workspace(request: pytest.FixtureRequest) -> Workspace:
    night: Night = request.getfixturevalue(request.param)
    return night.workspace


@pytest.fixture(scope="module")
def truth(workspace: Workspace) -> dict[str, Growth]:
    return growth(Oracle(workspace.root, worlds.LAST_DAY))


def expected(rows: dict[str, Sequence[Any]]) -> Rows:
    return {tenant: [astuple(row) for row in of_tenant] for tenant, of_tenant in rows.items() if of_tenant}


def test_features_are_what_the_raw_rows_say(workspace: Workspace, truth: dict[str, Growth]) -> None:
    rows = {tenant: each.features() for tenant, each in truth.items()}
    found = worlds.rows_by_tenant(workspace, "select * from mart_tenant_features order by all")
    assert found == expected(rows)
    of_all = [row for of_tenant in rows.values() for row in of_tenant]
    assert {0, 1} < {row.adopters for row in of_all}
    assert {None, 0} < {row.median_days_to_first_use for row in of_all}, "some are used at once, others later"
    assert any(row.active_users == 0 for row in of_all), "quiet weeks"


def test_retention_is_what_the_raw_rows_say(workspace: Workspace, truth: dict[str, Growth]) -> None:
    rows = {tenant: each.retention() for tenant, each in truth.items()}
    found = worlds.rows_by_tenant(workspace, "select * from mart_tenant_retention order by all")
    assert found == expected(rows)
    of_all = [row for of_tenant in rows.values() for row in of_tenant]
    assert {"not_enough_data", "immature"} <= {row.retention_rate_state for row in of_all}
    assert any(0 < row.retained_users < row.cohort_users for row in of_all)
    assert any(row.cohort_users == 0 for row in of_all), "weeks in which nobody joined"


def test_lifecycle_is_what_the_raw_rows_say(workspace: Workspace, truth: dict[str, Growth]) -> None:
    rows = {tenant: each.lifecycle() for tenant, each in truth.items()}
    found = worlds.rows_by_tenant(workspace, "select * from mart_tenant_lifecycle order by all")
    assert found == expected(rows)
    for population in ("users", "accounts"):
        of_all = [row for of_tenant in rows.values() for row in of_tenant if row.population == population]
        assert any(row.new_members for row in of_all)
        assert any(row.returning_members for row in of_all)
        assert any(row.resurrected_members for row in of_all)
        assert any(row.dormant_members for row in of_all)
