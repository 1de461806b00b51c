"""Values that are each planted once in the raw rows of a workspace, in every place where a raw value can stand."""

import csv
import gzip
import json
import os
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from quorum.keyring import MASTER_KEY_VARIABLE, Keyring, pads
from quorum.workspace import Workspace
from tests.end_to_end.leaks import Canary

LISTED = "acme-001"  # a tenant of every simulated world
TEXT_FIELDS = (
    *("event_id", "event_name", "feature", "user_id", "anonymous_id", "account_id", "session_id"),
    *("ip", "country", "platform", "received_at"),
)

KINDS: dict[str, Callable[[int], str]] = {
    "email": lambda n: f"Ada.Lovelace.{n:04}@leak.example",
    "phone": lambda n: f"+49 1512 {n:07}",
    "name": lambda n: f"Zoë Quxley {n:04}",
    "token": lambda n: f"tok_live_{n:06}_feedface",
    "ipv4": lambda n: f"10.{n // 200}.{n % 200}.177",
    "ipv6": lambda n: f"fd00:{n:x}:{n:x}:{n:x}::1:177",
    "number": lambda n: str(4915120000000 + n),
}


@dataclass
class Planter:
    """Hands each value out once, and knows them all."""

    planted: list[str] = field(default_factory=list)
    first: int = 0

    def __call__(self, kind: str) -> str:
        value = KINDS[kind](self.first + len(self.planted))
        self.planted.append(value)
        return value


def planted_row(plant: Planter, kind: str, **given: Any) -> dict[str, Any]:
    """Return a row of the format `quorum` with canaries in each field, and in each place of a field."""

    def new() -> str:
        return plant(kind)

    return {
        "tenant_id": LISTED,
        "occurred_at": "2026-03-28T10:00:00Z",
        **{name: new() for name in TEXT_FIELDS if name not in given},
        "url": f"https://{new()}@{new()}.example/app/{new()}/users?to={new()}&q={quote(new())}#{new()}\n/{new()}",
        "referrer": f"https://mail.{new()}/read/{new()}?from={quote(new(), safe='')}",
        "user_agent": f"Mozilla/5.0 ({new()}) Firefox/136.0 {new()}",
        "duration_ms": int(plant("number")),
        "value_minor": plant("number"),
        "properties": {
            **{name: new() for name in ("plan", "is_trial", "comment")},
            "items": int(plant("number")),
            new(): True,
            "nested": {"deep": [new(), {new(): new()}]},
            "json": json.dumps({"inner": {new(): new()}}, ensure_ascii=False),
            "link": f"https://app.example/?to={quote(new(), safe='')}",
        },
        new(): new(),
        **given,
    }


def plant_everywhere(workspace: Workspace, plant: Planter, unread: Planter) -> None:
    """Land canaries in every field, in names of files, folders and tenants, and in files that are not taken.

    What ``unread`` plants is in a line that is too long to be kept.
    """
    theirs, owner, channel = (plant("email") for _ in range(3))
    _register(workspace, theirs, owner, channel)

    def line(**given: Any) -> bytes:
        return json.dumps(planted_row(plant, "email", **given)).encode()

    accepted = [
        json.dumps(planted_row(plant, kind), ensure_ascii=ascii_only).encode()
        for kind in KINDS
        for ascii_only in (True, False)
    ]
    refused = [
        line()[:-1],
        b"\xff" + line(),
        json.dumps(plant("email")).encode(),
        json.dumps(planted_row(unread, "email", padding="x" * 2**20)).encode(),
        line(tenant_id=None),
        line(tenant_id=plant("email")),
        line(user_id=None, anonymous_id=None),
        line(occurred_at=plant("phone")),
        line(occurred_at="2099-01-01T00:00:00Z"),
    ]
    push = {
        "id": plant("number"),
        "type": "PushEvent",
        "actor": {"login": plant("email")},
        "repo": {"name": f"{owner}/{plant('name')}"},
        "created_at": "2026-03-28T10:00:00Z",
        "payload": {"action": plant("email"), "commits": [{"author": {"email": plant("email")}}]},
    }
    edit = {"time": "2026-03-28T10:00:00Z", "channel": channel, "user": plant("ipv4"), "comment": plant("name")}
    folder = f"quorum/tenant={quote(theirs)}"
    files = {
        f"quorum/{plant('email')}.jsonl": b"\n".join([*accepted, *refused]),
        f"{folder}/{plant('name')}.jsonl": line(tenant_id=None) + b"\n" + line(tenant_id=LISTED),
        f"quorum/tenant={plant('email')}/{plant('phone')}.jsonl": line(tenant_id=None),
        f"github/{plant('name')}.json": json.dumps(push).encode(),
        f"wikimedia/{plant('token')}.json": json.dumps(edit).encode(),
        # the three that are not taken
        f"quorum/{unread('email')}.txt": b"of no known kind",
        f"{folder}/{unread('phone')}.jsonl.gz": gzip.compress(accepted[0])[:-9],
        f"{folder}/{unread('token')}.jsonl": b"",
    }
    for name, content in files.items():
        path = workspace.landing / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _register(workspace: Workspace, *tenant_ids: str) -> None:
    path = workspace.registry / "tenants.csv"
    with path.open(newline="") as file:
        first = next(csv.DictReader(file))
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(first), lineterminator="\n")
        writer.writerows({**first, "tenant_id": tenant_id} for tenant_id in tenant_ids)


def canaries(workspace: Workspace, *planters: Planter) -> set[Canary]:
    """Return what was planted, by hand and by the simulator; of an address also the part that names a person."""
    with (workspace.root / "truth" / "canaries.csv").open(newline="") as file:
        values = {row["value"] for row in csv.DictReader(file)}.union(*(plant.planted for plant in planters))
    return values | {value.split("@")[0] for value in values if "@" in value}


def secrets(workspace: Workspace) -> set[Canary]:
    """Return each secret of the keyring, as it is and as HMAC pads it, and the master key."""
    keys = Keyring.open(workspace.keyring).tenants().values()
    found = {secret for each in keys for secret in (each.pseudonym_key, each.bundle_key, *pads(each.pseudonym_key))}
    return {*found, b64decode(os.environ[MASTER_KEY_VARIABLE])}


def bundle_keys(workspace: Workspace) -> dict[str, str]:
    """Return what opens each bundle, by the name of its folder."""
    keyring = Keyring.open(workspace.keyring)
    return {keys.tenant_key: keyring.bundle_key(tenant) for tenant, keys in keyring.tenants().items()}
