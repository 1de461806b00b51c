"""Values that are each planted once in the raw rows of a workspace, in every place where a raw value can stand."""

import csv
import gzip
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import cycle
from typing import Any
from urllib.parse import quote

from quorum.keyring import MASTER_KEY_VARIABLE, Keyring, pads
from quorum.workspace import Workspace
from tests.end_to_end.spellings import Canary

LISTED = "acme-001"  # a tenant of every simulated world
TEXT_FIELDS = (
    *("event_id", "event_name", "feature", "user_id", "anonymous_id", "account_id", "session_id"),
    *("ip", "country", "platform", "received_at"),
)

KINDS: dict[str, Callable[[int], str]] = {
    "email": lambda n: f"Ada.Lovelace.{n:04}@leak.example",
    "phone": lambda n: f"+49 1512 {n:07}",
    "number": lambda n: str(4915120000000 + n),
    "name": lambda n: f"Zoë Quxley {n:04}",
    "Greek name": lambda n: f"Ελένη Παππά {n:04}",
    "Cyrillic name": lambda n: f"Анна Ёлкина {n:04}",
    "Chinese name": lambda n: f"欧阳娜娜{n:04}",
    "Arabic name": lambda n: f"مريم الفاسي {n:04}",
    "API key": lambda n: f"sk_live_{n:06}_feedface",
    "JWT": lambda n: f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOi{n:06}.c2lnbmF0dXJl",
    "session cookie": lambda n: f"sid={n:06}38afes7a8; Path=/",
    "password": lambda n: f"Tr0ub4dor&3-{n:04}!",
    "IPv4 address": lambda n: f"10.{n // 200}.{n % 200}.177",
    "IPv6 address": lambda n: f"fd00:{n:x}:{n:x}:{n:x}::1:177",
    "MAC address": lambda n: f"00:1b:{n >> 8:02x}:{n & 255:02x}:3a:b7",
    "card number": lambda n: f"4556 7375 8689 {n:04}",
    "IBAN": lambda n: f"DE44 5001 0517 5407 {n:04} 31",
    "national id": lambda n: f"078-05-{n:04}",
    "date of birth": lambda n: str(date(1900, 1, 1) + timedelta(days=n)),
    "coordinates": lambda n: f"52.5{n:04}, 13.4{n:04}",
    "postal address": lambda n: f"{n} Rue de l'Église, 75004 Paris",
    "licence plate": lambda n: f"B-QX {n:04} E",
    "user id": lambda n: f"User  {n:04} of QX",
    "URL with a password": lambda n: f"https://ada:s3cret-{n:04}@db.leak.example/",
}

# What a tracker may have done to a value before it was sent.
ENCODINGS: dict[str, Callable[[str], str]] = {
    "none": str,
    "URL, twice": lambda value: quote(quote(value, safe=""), safe=""),
    "base64 of URL": lambda value: _base64(quote(value, safe="")),
    "base64, twice": lambda value: _base64(f"to {_base64(value)}"),
    "URL of base64": lambda value: quote(_base64(f"a {value}"), safe=""),
    "JSON in JSON": lambda value: json.dumps(json.dumps({"to": value})),
    "base64 of JSON": lambda value: _base64(json.dumps({"to": value})),
    "hex of URL": lambda value: quote(value, safe="").encode().hex(),
    "base64 of hex": lambda value: _base64(value.encode().hex()),
}


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


@dataclass
class Planter:
    """Hands each value out once, and knows them all."""

    planted: list[str] = field(default_factory=list)
    first: int = 0

    def __call__(self, kind: str) -> str:
        value = KINDS[kind](self.first + len(self.planted))
        self.planted.append(value)
        return value


def planted_row(plant: Planter, kind: str, encoding: str = "none", **given: Any) -> dict[str, Any]:
    """Return a row of the format `quorum` with canaries in each field, and in each place of a field."""

    def new() -> str:
        return ENCODINGS[encoding](plant(kind))

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
    listed = [f"{tenant},2020-01-01,{plant('email')},,internal" for tenant in (LISTED, theirs, "*")]
    header = "tenant_id,valid_from,user_id,anonymous_id,listed_as"
    (workspace.registry / "internal_users.csv").write_text("\n".join([header, *listed]))

    def line(**given: Any) -> bytes:
        return json.dumps(planted_row(plant, "email", **given)).encode()

    # a date in the place of the time of receipt would be one
    times = {"received_at": "2026-03-28T10:00:05Z"}
    encodings = cycle(ENCODINGS)
    accepted = [
        json.dumps(planted_row(plant, kind, next(encodings), **times), ensure_ascii=rank % 2 == 0).encode()
        for rank, kind in enumerate([*KINDS, *KINDS])
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
    edit = {"time": "2026-03-28T10:00:00Z", "channel": channel, "user": plant("IPv4 address"), "comment": plant("name")}
    folder = f"quorum/tenant={quote(theirs)}"
    files = {
        f"quorum/{plant('email')}.jsonl": b"\n".join([*accepted, *refused]),
        f"{folder}/{plant('name')}.jsonl": line(tenant_id=None) + b"\n" + line(tenant_id=LISTED),
        f"quorum/tenant={plant('email')}/{plant('phone')}.jsonl": line(tenant_id=None),
        f"github/{plant('name')}.json": json.dumps(push).encode(),
        f"wikimedia/{plant('API key')}.json": json.dumps(edit).encode(),
        # the three that are not taken
        f"quorum/{unread('email')}.txt": b"of no known kind",
        f"{folder}/{unread('phone')}.jsonl.gz": gzip.compress(accepted[0])[:-9],
        f"{folder}/{unread('API key')}.jsonl": b"",
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
