"""How long fields of a class stay: ``seeds/policy/retention.csv`` as shipped, shorter by ``registry/retention.csv``.

The days of a class come beside a tenant's ``retention_days``, which ends whole events: the shorter of the two counts.
Tenant ``*`` stands for every tenant without rows of its own. A number may only shorten what is shipped.
"""

import hashlib
import json
import re
from pathlib import Path

import pyarrow as pa

from quorum import csv_file
from quorum.errors import BadInput, Refused
from quorum.field_policies import SUITABLE
from quorum.registry import DEFAULT_TENANT, Registry

MOST_DAYS = 366_000

_SCHEMA = pa.schema([("tenant_id", pa.string()), ("class", pa.string()), ("days", pa.int32())])


def load(directory: Path, shipped: Path, tenants: Registry) -> pa.Table:
    """Return the days of each class, in order: for ``*``, and for each tenant that says its own; NULL is no limit.

    An error names its line and shows no tenant.
    """
    limits = _limits(shipped)
    path = directory / "retention.csv"
    asked: dict[tuple[str, str], int] = {}
    for line, cells in csv_file.rows(path, _SCHEMA.names) if path.exists() else ():
        where = f"{path}, line {line}"
        try:
            tenant = csv_file.identifier("tenant_id", cells["tenant_id"])
            name, days = _class(cells), _days(cells)
        except BadInput as problem:
            raise BadInput(f"{where}, {problem}") from None
        if tenant != DEFAULT_TENANT and not tenants.default and tenant not in {row.tenant_id for row in tenants.rows}:
            raise BadInput(f"{where}, column tenant_id: no such tenant in tenants.csv")
        if (tenant, name) in asked:
            raise BadInput(f"{where}, column class: an earlier line has the same tenant and class")
        if days is None:
            raise BadInput(f"{where}, column days: it is empty")
        most = limits[name]
        if most is not None and days > most:
            raise Refused(f"{where}, column days: {name} may only stay shorter than the shipped {most}")
        asked[tenant, name] = days
    everyone = {name: asked.get((DEFAULT_TENANT, name), days) for name, days in limits.items()}
    rows = [
        {"tenant_id": tenant, "class": name, "days": asked.get((tenant, name), days)}
        for tenant in sorted({DEFAULT_TENANT, *(tenant for tenant, _ in asked)})
        for name, days in everyone.items()
    ]
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


def digest(days: pa.Table) -> str:
    """Return the SHA-256 over the rows. Tenant ids are in it: never published."""
    return hashlib.sha256(json.dumps(days.to_pylist()).encode()).hexdigest()


def _limits(shipped: Path) -> dict[str, int | None]:
    limits: dict[str, int | None] = {}
    for line, cells in csv_file.rows(shipped, ("class", "days")):
        try:
            name = _class(cells)
            if name in limits:
                raise BadInput("column class: it stands twice")
            limits[name] = _days(cells)
        except BadInput as problem:
            raise BadInput(f"{shipped}, line {line}, {problem}") from None
    missing = [name for name in SUITABLE if name not in limits]
    if missing:
        raise BadInput(f"{shipped}: no row for the class {missing[0]}")
    return limits


def _class(cells: dict[str, str]) -> str:
    name = cells["class"].strip()
    if name not in SUITABLE:
        raise BadInput(f"column class: expected one of {', '.join(SUITABLE)}")
    return name


def _days(cells: dict[str, str]) -> int | None:
    text = cells["days"].strip()
    if not text:
        return None
    if not re.fullmatch("[0-9]{1,6}", text) or not 1 <= int(text) <= MOST_DAYS:
        raise BadInput(f"column days: expected a whole number from 1 to {MOST_DAYS}")
    return int(text)
