"""What the operator declares for a tenant holds for its events, from the day that it says, and for no other's."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from quorum.keyring import Keyring
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.histories import START, event, registered

MIDNIGHT = START.replace(hour=15, minute=0) + timedelta(days=1)  # of 2024-03-03 in Tokyo
BEFORE, AFTER, LATER = MIDNIGHT - timedelta(seconds=1), MIDNIGHT, MIDNIGHT + timedelta(days=2)
ZONE = {"timezone": "Asia/Tokyo"}
RELATIONS = ("dim_tenants", "fct_events", "int_tenant_rules")
LISTED = [
    ("tokyo", "2024-03-03", " Zoë@Acme.example", "", "internal"),
    ("tokyo", "2024-03-03", "", "Kiosk", "test"),
    ("*", "2024-03-01", "Zoe\u0308@acme.example", "", "bot"),
    ("*", "2024-03-01", "Exact", "", "bot"),
]
NO_MORE = ("tokyo", "2024-03-05", "ZOË@acme.example", "", "none")
ACTIVE = [("tokyo", "2024-03-01", "signup"), ("tokyo", "2024-03-03", "purchase")]

# tenant, user, device, instant, event; what the first list says of it, the second list, and whether it is activity
CASES = [
    ("tokyo", "zoë@acme.example", "", BEFORE, "signup", None, None, True),
    ("tokyo", "zoë@acme.example", "", AFTER, "signup", "internal", "internal", False),
    ("tokyo", "ZOE\u0308@ACME.EXAMPLE", "", LATER, "purchase", "internal", None, True),
    ("tokyo", "", "kiosk", BEFORE, "feature_used", None, None, False),
    ("tokyo", "", "KIOSK ", LATER, "feature_used", "test", "test", False),
    ("tokyo", "kiosk", "", LATER, "purchase", None, None, True),  # a user of the same name as the device
    ("tokyo", "exact", "", LATER, "purchase", None, None, True),  # who has rows does not live by `*`
    ("other", "zoë@acme.example", "", BEFORE, "signup", "bot", "bot", True),
    ("other", "exact", "kiosk", AFTER, "purchase", "bot", "bot", True),
    ("wiki", "Exact", "", AFTER, "edit", "bot", "bot", True),  # a format that tells case apart
    ("wiki", "exact", "", AFTER, "edit", None, None, True),
]


def list_users(workspace: Workspace, *more: tuple[str, ...]) -> None:
    worlds.declare(workspace, "internal_users", "tenant_id,valid_from,user_id,anonymous_id,listed_as", [*LISTED, *more])


def raw(number: int, tenant: str, user: str, device: str, instant: datetime, name: str) -> dict[str, str]:
    if tenant == "wiki":
        return {"time": instant.isoformat(), "channel": tenant, "user": user, "page": str(number)}
    return event(tenant, user, str(number), instant, anonymous_id=device, event_name=name)


def placed(workspace: Workspace) -> list[tuple[str | None, bool]]:
    """Return what became of each case, in their order."""
    query = """
    select events.source_format = 'wikimedia', landing_row, listed_as, is_activity
    from fct_events
    inner join int_events as events using (tenant_key, unit_key, event_key)
    order by all
    """
    return [(listed_as, is_activity) for *_, listed_as, is_activity in worlds.fetch(workspace, "tenant", query)]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    tenants = [registered("tokyo", **ZONE), registered("other"), registered("wiki")]
    workspace = worlds.registered(tmp_path_factory.mktemp("ruled"), tenants)
    list_users(workspace)
    worlds.declare(workspace, "active_events", "tenant_id,valid_from,event_name", ACTIVE)
    rows = [raw(number, *case[:5]) for number, case in enumerate(CASES)]
    worlds.land(workspace, "rows.jsonl", (row for row in rows if "channel" not in row))
    worlds.land(workspace, "rows.json", (row for row in rows if "channel" in row), "wikimedia")
    worlds.build(workspace, only=RELATIONS)
    return workspace


def test_the_list_and_the_keys_change_while_nothing_lands(workspace: Workspace) -> None:
    assert placed(workspace) == [(case[5], case[7]) for case in CASES]
    digests = "select rules_digest from int_tenant_rules inner join dim_tenants using (tenant_key) order by all"
    first = worlds.fetch(workspace, "tenant", digests)

    worlds.build(workspace, only=RELATIONS)
    assert worlds.fetch(workspace, "tenant", digests) == first
    assert placed(workspace) == [(case[5], case[7]) for case in CASES]

    Keyring.open(workspace.keyring).rotate(["tokyo", "wiki"])
    list_users(workspace, NO_MORE)
    worlds.build(workspace, only=RELATIONS)
    assert placed(workspace) == [(case[6], case[7]) for case in CASES]
    left = set(first) & set(worlds.fetch(workspace, "tenant", digests))
    assert len(left) == 1, "the tenant whose keys and rules stayed"


def test_nobody_is_erased_whom_the_registry_still_names(workspace: Workspace) -> None:
    named = worlds.quorum(workspace, "erase", "--tenant", "tokyo", "--user", "bob", "--user", "zoë@ACME.example")
    assert named.exit_code == 4
    assert "the registry still lists one of them: take line 2 out of internal_users.csv first" in named.output
    tenant = worlds.quorum(workspace, "erase", "--tenant", "tokyo")
    assert tenant.exit_code == 4
    assert "the registry still lists this tenant" in tenant.output
    workspace.registry.joinpath("tenants.csv").write_text(
        Path(workspace.registry / "tenants.csv").read_text().replace("tokyo,", "*,")
    )
    assert "the registry still lists this tenant" in worlds.quorum(workspace, "erase", "--tenant", "tokyo").output
