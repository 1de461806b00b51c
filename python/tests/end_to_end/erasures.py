"""Worlds in which some users are to be forgotten, and the same worlds without their lines."""

import csv
import gzip
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.canaries import bundle_keys
from tests.end_to_end.histories import event, registered
from tests.end_to_end.leaks import Place, places
from tests.end_to_end.spellings import Canary

Row = dict[str, Any]
Kept = Callable[[Row | str], bool]

TENANTS = ("acme", "globex")
GONE = [f"Gone.{number:03}@leak.example" for number in range(100)]
STAYING = [f"stays.{number:03}@mail.example" for number in range(20)]
ONLY_IN_ACME = 50  # so many of them no other tenant knows
FLOOD, QUOTA = 30, 12
BEFORE = worlds.noon(worlds.LAST_DAY) - timedelta(hours=1)  # all but the new start happened before this
LATE, NEW_START = "zz/8.jsonl", "zz/9.jsonl"


def mark(user: str, text: str) -> str:
    """Return a value that only this user's rows hold, and that begins as no other does: a part of it tells, too."""
    return f"{user.split('@')[0].lower()}-{text}" if user in GONE else f"anybody-{text}"


def at(hours: float) -> str:
    return (worlds.noon(worlds.LAST_DAY) - timedelta(hours=hours)).isoformat()


def sent(user: str | None, number: int, hours: float, tenant: str = "acme", **more: Any) -> Row:
    owner = user or ""
    row = event(tenant, owner, mark(owner, f"event-{number:04}"), worlds.noon(worlds.LAST_DAY) - timedelta(hours=hours))
    return row | {
        "user_id": user,
        "anonymous_id": mark(owner, "device-0001") if user in GONE else None,
        "url": f"https://app.example/{mark(owner, 'search')}",
        "properties": {"plan": "pro", mark(owner, "key-0001"): mark(owner, "comment-1")},
        mark(owner, "field-0001") if tenant == "acme" else "plain": 1,
        **more,
    }


def files(keep: Kept) -> dict[str, Sequence[Row | str]]:
    """Return the lines of each file, by its name below landing/quorum; two nights' worth."""
    everybody = [*GONE, *STAYING]
    first: list[Row] = []
    for place, user in enumerate(everybody):
        first += [sent(user, 1, 30 + place / 10), sent(user, 2, 29.8 + place / 10), sent(user, 3, 6)]
        if place >= ONLY_IN_ACME:
            first += [sent(user, 1, 30, "globex", anonymous_id=None, url=None, properties={}, event_id=f"g{place}")]
    by_device = [
        sent(None, 9, 5, anonymous_id=f" {mark(user, 'device-0001').upper()}", event_id=mark(user, "event-0009"))
        | {"properties": {mark(user, "key-0002"): 1}, "url": None}
        for user in GONE[:10]
    ]
    shared = [sent(user, 10, 4, anonymous_id="shared device") for user in (GONE[0], STAYING[0])]
    shared += [sent(None, 11, 4, anonymous_id="shared device", event_id=f"shared{n}") for n in range(3)]
    flood = [sent(user, 100 + n, 3 - n / 100) for n in range(FLOOD) for user in (GONE[1], STAYING[1])]
    refused: list[Row | str] = [
        sent(GONE[2], 12, -24 * 30),
        sent(STAYING[2], 12, -24 * 30),
        json.dumps(sent(GONE[3], 13, 2))[:-1],
        json.dumps(sent(STAYING[3], 13, 2))[:-1],
        sent(None, 14, 2, event_id="e14", properties={"to": GONE[4]}),
        sent(STAYING[4], 15, -24 * 30, properties={"not": "of the one that it speaks of"}),
    ]
    again = [sent(user, 1, 30.5 + place / 10, url=None) for place, user in enumerate(everybody)]
    late = [sent(user, 20, 50 + place) for place, user in enumerate(everybody)]
    found: dict[str, Sequence[Row | str]] = {
        "1.jsonl": first[::4] + by_device,
        "2.jsonl.gz": first[1::4] + shared,
        "tenant=acme/3.csv": first[2::4],
        "tenant=acme/4.parquet": flood,
        "5.jsonl": [*refused, *first[3::4]],
        "z/6.jsonl.gz": again,
        "z/7.jsonl": late,
    }
    return {name: [row for row in rows if keep(row)] for name, rows in found.items()}


SECOND_NIGHT = ("z/6.jsonl.gz", "z/7.jsonl")


def everything(_row: Row | str) -> bool:
    return True


def is_kept(row: Row | str) -> bool:
    """Whether a line is not one of those to be forgotten: all of acme that name who goes, or a device of theirs."""
    text = row if isinstance(row, str) else json.dumps(row)
    return '"globex"' in text or not re.search("gone[.][0-9]{3}", text.lower())


def land(workspace: Workspace, names: Iterable[str], keep: Kept = everything) -> None:
    lines = files(keep)
    for name in names:
        path = workspace.landing / "quorum" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(packed(name, lines[name]))
    folder = workspace.landing / "quorum" / "tenant=acme"
    listed = sorted(folder.glob("[0-9]*"))
    sums = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in listed)
    if listed:
        (folder / "SHA256SUMS").write_text(sums)


def packed(name: str, rows: Sequence[Row | str]) -> bytes:
    """Return a file's bytes, of the kind that its name says."""
    if name.endswith(".parquet"):
        output = io.BytesIO()
        kept = ("user_id", "event_id", "event_name", "occurred_at", "received_at")
        records = [{column: row[column] for column in kept} for row in rows if isinstance(row, dict)]
        pq.write_table(pa.Table.from_pylist(records), output)
        return output.getvalue()
    if name.endswith(".csv"):
        text = io.StringIO()
        columns = ("user_id", "anonymous_id", "event_id", "event_name", "occurred_at", "received_at", "url")
        writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(row for row in rows if isinstance(row, dict))
        return text.getvalue().encode()
    lines = "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows).encode()
    return gzip.compress(lines) if name.endswith(".gz") else lines


def world(root: Path, keep: Kept = everything) -> Workspace:
    rules = {"daily_user_quota": str(QUOTA), "benchmark_consent": "false"}
    workspace = worlds.registered(root, [registered(tenant, **rules) for tenant in TENANTS])
    land(workspace, [name for name in files(keep) if name not in SECOND_NIGHT], keep)
    return workspace


def canaries(names: Iterable[str] | None = None) -> set[Canary]:
    """Return what only rows to be forgotten hold, of all files or of some; ids that another tenant knows are none."""
    lines = files(everything)
    written = "".join(json.dumps(lines[name]) for name in names or lines).lower()
    texts = re.findall("gone[.][0-9]{3}-[a-z]+(?:-[0-9]+)?", written)
    return {*texts, *(user for user in GONE[:ONLY_IN_ACME] if user.lower() in written)}


def land_late(workspace: Workspace) -> None:
    """Land old rows of those who were erased, and for one of them a new start."""
    rows = [sent(user, 30, 60) for user in GONE] + [sent(STAYING[0], 30, 60)]
    unsigned = [sent(None, 31, 60, anonymous_id=mark(GONE[5], "device-0001"), event_id=mark(GONE[5], "event-0031"))]
    for name, content in ((LATE, rows + unsigned), (NEW_START, [sent(GONE[7], 40, -1)])):
        path = workspace.landing / "quorum" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(packed(name, content))


def readable(workspace: Workspace) -> Iterator[Place]:
    """Return all that can be read of a workspace."""
    return places(workspace.root, bundle_keys(workspace))
