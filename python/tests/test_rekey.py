"""Carrying stored tokens into a new key epoch, over a relation made by hand; whole nights are in end_to_end."""

import hmac
import json
from pathlib import Path

import pyarrow as pa

from quorum import rekey, warehouse
from quorum.keyring import Keyring
from quorum.workspace import Workspace

A, B = "0123456789abcdef" * 2, "f" * 32


def test_tokens_among_the_properties_are_carried_too(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.landing.mkdir()
    workspace.prepare()
    keyring = Keyring.open(workspace.keyring)
    keyring.ensure(["acme", "other"])
    [keys] = keyring.rotate(["acme"])

    def carried(token: str) -> str:
        return hmac.digest(keys.pseudonym_keys[1], token.encode(), "sha256").hex()[:32]

    def properties(a: str, b: str) -> dict[str, object]:
        return {"user": a, "again": a, "mail": f"{b}:company", "n": 1, "text": f"no token: {A}", "longer": A + B}

    before = [properties(A, B), {}, {"n": 2}]
    stored = {"tenant_key": [keys.tenant_key] * 3, "unit_key": [B] * 3, "properties": [*map(json.dumps, before)]}
    others = {"tenant_key": [keyring.of("other").tenant_key], "unit_key": [A], "properties": [json.dumps(before[0])]}
    with warehouse.opened(workspace, "tenant") as connection:
        warehouse.replace(connection, "int_events", pa.concat_tables([pa.table(stored), pa.table(others)]))
    rekey.finish(workspace, keyring)

    with warehouse.opened(workspace, "tenant", read_only=True) as connection:
        found = connection.execute("select tenant_key, unit_key, properties from int_events").fetchall()
    expected = [properties(carried(A), carried(B)), *before[1:]]
    wanted = [(keys.tenant_key, carried(B), json.dumps(each)) for each in expected]
    wanted.append((others["tenant_key"][0], A, json.dumps(before[0])))
    assert sorted(found) == sorted(wanted)
