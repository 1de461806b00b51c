"""What events a tenant sends and of what types their properties are, as ``registry/tracking_plan.csv`` declares it.

A row plans one property of an event; with no property it plans the event alone. Tenant ``*`` stands for every tenant
without rows of its own. A tenant without a plan may send what it likes, and without the file all may.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from quorum import csv_file
from quorum.errors import BadInput

TYPES = ("string", "number", "boolean", "object", "array")
_FLAGS = {"true": True, "false": False}

_SCHEMA = pa.schema(
    [
        ("tenant_id", pa.string()),
        ("event_name", pa.string()),
        ("property", pa.string()),
        ("type", pa.string()),
        ("required", pa.bool_()),
    ]
)


def load(directory: Path) -> pa.Table:
    """Read ``tracking_plan.csv`` in a workspace's ``registry/``, if it is there, as rows in order.

    An error names its line and column and shows no value: names of events and properties may hold personal data.
    """
    path = directory / "tracking_plan.csv"
    lines: dict[tuple[str, str, str], int] = {}
    plan = []
    for line, cells in csv_file.rows(path, _SCHEMA.names) if path.exists() else ():
        where = f"{path}, line {line}"
        try:
            plan.append(_parse(cells))
        except BadInput as problem:
            raise BadInput(f"{where}, {problem}") from None
        earlier = lines.setdefault((cells["tenant_id"], cells["event_name"], cells["property"]), line)
        if earlier != line:
            raise BadInput(f"{where}, column property: line {earlier} plans the same")
    return pa.Table.from_pylist([row for _, row in sorted(zip(lines, plan, strict=True))], schema=_SCHEMA)


def digest(plan: pa.Table) -> str:
    """Return the SHA-256 over the rows, whatever their order in the file. Names are in it: never published."""
    return hashlib.sha256(json.dumps(plan.to_pylist()).encode()).hexdigest()


def _parse(cells: dict[str, str]) -> Mapping[str, object]:
    event = {column: csv_file.identifier(column, cells[column]) for column in ("tenant_id", "event_name")}
    kind, required = cells["type"].strip(), cells["required"].strip().lower()
    if not cells["property"]:
        for column in ("type", "required"):
            if cells[column].strip():
                raise BadInput(f"column {column}: it is given for no property")
        return event
    name = csv_file.identifier("property", cells["property"])
    if kind not in TYPES:
        raise BadInput(f"column type: expected one of {', '.join(TYPES)}")
    if required not in _FLAGS:
        raise BadInput("column required: expected true or false")
    return {**event, "property": name, "type": kind, "required": _FLAGS[required]}
