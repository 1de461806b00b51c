"""Features, retention and lifecycle, against the raw lines."""

from dataclasses import astuple

import pytest

from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night
from tests.end_to_end.oracle import Oracle
from tests.end_to_end.truth_growth import Growth, growth


def truth(workspace: Workspace) -> dict[str, Growth]:
    return growth(Oracle(workspace.root, worlds.LAST_DAY))


@pytest.mark.parametrize("night", ["product_night", "in_batches"])
def test_the_marts_are_what_the_raw_rows_say(night: str, request: pytest.FixtureRequest) -> None:
    workspace = request.getfixturevalue(night).workspace
    expected = {tenant: each.marts() for tenant, each in truth(workspace).items()}
    for mart in next(iter(expected.values())):
        rows = {tenant: [astuple(row) for row in marts[mart]] for tenant, marts in expected.items() if marts[mart]}
        assert worlds.rows_by_tenant(workspace, f"select * from {mart} order by all") == rows, mart


def test_there_is_much_to_tell_apart(product_night: Night, in_batches: Night) -> None:
    tenants = [*truth(product_night.workspace).values(), *truth(in_batches.workspace).values()]
    features = [row for tenant in tenants for row in tenant.features()]
    assert {row.adoption_rate_state for row in features} == {"ok", "not_enough_data"}
    assert any(row.active_users == 0 for row in features), "quiet weeks"
    assert any(0 < row.adopters < row.active_users and row.new_adopters < row.adopters for row in features)
    assert any((row.features_per_adopter or 0) > 1 and (row.median_days_to_first_use or 0) > 0 for row in features)
    cells = [row for tenant in tenants for row in tenant.retention()]
    assert {row.retention_rate_state for row in cells} == {"ok", "not_enough_data", "immature"}
    assert any(row.cohort_users == 0 for row in cells), "weeks in which nobody joined"
    for kind in {(row.method, row.clock) for row in cells}:
        assert any(0 < row.retained_users < row.cohort_users for row in cells if (row.method, row.clock) == kind), kind
    weeks = [row for tenant in tenants for row in tenant.lifecycle()]
    for population in ("users", "accounts"):
        figures = [astuple(row)[2:] for row in weeks if row.population == population]
        assert all(map(any, zip(*figures, strict=True))), population
