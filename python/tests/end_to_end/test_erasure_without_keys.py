"""Forgetting users of a tenant that has no keys yet: when it gets some, they stay away and the others come."""

from datetime import timedelta
from pathlib import Path

from quorum import erasure
from quorum.keyring import Keyring
from quorum.workspace import Workspace
from tests.end_to_end import erasures, worlds
from tests.end_to_end.histories import Row, event, registered
from tests.end_to_end.leaks import leaks

ADA, BOB = "ada@leak.example", "bob@mail.example"
HOUR = timedelta(hours=1)
REASONS = "select reason, count(*) from int_quarantine group by all order by all"


def sent(user: str, number: int, age: timedelta) -> Row:
    return event("newco", user, f"{user.split('@')[0]}-event-{number:04}", worlds.noon(worlds.LAST_DAY) - age)


def erase(workspace: Workspace, *users: str) -> erasure.Receipt:
    with worlds.untested():
        request = erasure.Request("newco", users)
        return erasure.erase(workspace, worlds.LAST_DAY, request, worlds.silent, erasures.BEFORE)


def test_who_is_erased_before_the_tenant_has_keys_does_not_come_back(tmp_path: Path) -> None:
    workspace = worlds.registered(tmp_path, [registered("acme")])
    worlds.land(workspace, "1.jsonl", [sent(ADA, 1, 50 * HOUR), sent(BOB, 1, 50 * HOUR)])
    assert worlds.ingest(workspace).reasons == {"unknown_tenant": 2}
    assert "newco" not in Keyring.open(workspace.keyring).tenants()

    receipt = erase(workspace, f" {ADA.upper()}")
    assert receipt.rows == {"quarantined": 1}
    assert receipt.forgotten.blanked_files == 1
    assert not leaks([ADA, "ada-event-0001"], erasures.readable(workspace))
    assert worlds.fetch(workspace, "restricted", REASONS) == [("erased", 1), ("unknown_tenant", 1)]

    # the rule for whoever is not listed takes the tenant in: nobody knows of it before its first rows are judged
    worlds.registered(tmp_path, [registered("acme"), registered("*")])
    worlds.land(workspace, "2.jsonl", [sent(ADA, 2, 40 * HOUR), sent(BOB, 2, 40 * HOUR), sent(ADA, 3, -HOUR)])
    report = worlds.ingest(workspace)
    assert report.reasons == {"erased": 2}
    assert report.rows["accepted"] == 3
    events = "select count(*) from int_events group by unit_key order by all"
    assert worlds.fetch(workspace, "tenant", events) == [(1,), (2,)], "of her new start, and of the other"
