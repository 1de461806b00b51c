"""What conversions are credited to, against the raw lines."""

from dataclasses import astuple

from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night
from tests.end_to_end.oracle import Oracle
from tests.end_to_end.truth_attribution import MODELS, attribution

ATTRIBUTION = "select * from mart_tenant_attribution order by all"


def test_the_mart_is_what_the_raw_rows_say(product_night: Night) -> None:
    workspace = product_night.workspace
    expected = attribution(workspace.root, Oracle(workspace.root, worlds.LAST_DAY))
    found = worlds.rows_by_tenant(workspace, ATTRIBUTION)
    assert found == {tenant: [astuple(row) for row in rows] for tenant, rows in expected.items()}
    # and there is something to tell apart
    assert len(found) == 6
    rows = [row for rows in expected.values() for row in rows]
    assert {row.source for row in rows} == {"direct", "search", "social", "mail", "other"}
    by_model = {
        model: [
            (row.week_start, row.source, row.credited_conversions) for row in rows if row.attribution_model == model
        ]
        for model in MODELS
    }
    assert len({tuple(of_model) for of_model in by_model.values()}) == len(MODELS)
