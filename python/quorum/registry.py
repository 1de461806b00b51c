"""Tenants and their rules, as the operator declares them in ``registry/tenants.csv``.

A row holds from its ``valid_from``, a date in the tenant's own time zone, until the tenant's next row. Tenant
``*`` stands for every tenant that has no row of its own.
"""

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from quorum import csv_file
from quorum.csv_file import shorten
from quorum.errors import BadInput

DEFAULT_TENANT = "*"

_SCHEMA = pa.schema(
    [
        ("tenant_id", pa.string()),
        ("valid_from", pa.date32()),
        ("industry", pa.string()),
        ("region", pa.string()),
        ("size_band", pa.string()),
        ("plan", pa.string()),
        ("owner_group", pa.string()),
        ("timezone", pa.string()),
        ("week_start", pa.string()),
        ("session_timeout_minutes", pa.int32()),
        ("benchmark_consent", pa.bool_()),
        ("retention_days", pa.int32()),
        ("freshness_sla_hours", pa.int32()),
        ("daily_event_quota", pa.int64()),
        ("daily_user_quota", pa.int64()),
        ("publish_bundle", pa.bool_()),
        ("max_users_per_device", pa.int32()),
        ("max_users_per_person", pa.int32()),
        ("bot_daily_events", pa.int32()),
        ("bot_daily_hours", pa.int32()),
    ]
)
_EXAMPLE = "*,2000-01-01,unknown,unknown,unknown,unknown,,UTC,monday,30,false,730,24,1000000,100000,true"

_LABELS = ("industry", "region", "size_band", "plan", "owner_group")
# Labels name published cohorts: nothing that a spreadsheet takes for a formula or a page for markup.
LABEL = re.compile("([A-Za-z0-9][A-Za-z0-9 _.&+-]{0,63})?")
LABEL_RULE = "a letter or digit followed by at most 63 letters, digits, spaces or _.&+-"
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# Beyond a day a session means nothing; the other limits keep later arithmetic inside DATE and BIGINT.
_LIMITS = {
    "session_timeout_minutes": 1_440,
    "retention_days": 366_000,
    "freshness_sla_hours": 87_840,
    "daily_event_quota": 10**15,
    "daily_user_quota": 10**15,
    "max_users_per_device": 1_000,
    "max_users_per_person": 1_000,
    "bot_daily_events": 10**9,
    "bot_daily_hours": 24,
}
# Who shares a device, and who is busy as no human is: what holds where the file does not say.
_DEFAULTS = {"max_users_per_device": 2, "max_users_per_person": 5, "bot_daily_events": 2_000, "bot_daily_hours": 20}
_OPTIONAL = ("owner_group", "daily_user_quota", *_DEFAULTS)


@dataclass(frozen=True, kw_only=True)
class TenantVersion:
    """The rules of a tenant from one day on; the fields are the columns of the file."""

    tenant_id: str = field(repr=False)  # it may hold personal data
    valid_from: date
    industry: str
    region: str
    size_band: str
    plan: str
    owner_group: str | None = None
    timezone: str
    week_start: str
    session_timeout_minutes: int
    benchmark_consent: bool
    retention_days: int
    freshness_sla_hours: int
    daily_event_quota: int
    daily_user_quota: int | None = None
    publish_bundle: bool
    max_users_per_device: int = _DEFAULTS["max_users_per_device"]
    max_users_per_person: int = _DEFAULTS["max_users_per_person"]
    bot_daily_events: int = _DEFAULTS["bot_daily_events"]
    bot_daily_hours: int = _DEFAULTS["bot_daily_hours"]

    def __post_init__(self) -> None:
        csv_file.identifier("tenant_id", self.tenant_id)
        for column in _LABELS:
            if not LABEL.fullmatch(getattr(self, column) or ""):
                raise _bad(column, getattr(self, column), LABEL_RULE)
        if self.timezone not in _timezones():
            raise _bad("timezone", self.timezone, "a time zone that DuckDB knows, such as Europe/Berlin")
        if self.week_start not in _WEEKDAYS:
            raise _bad("week_start", self.week_start, "a day of the week, such as monday")
        for column, limit in _LIMITS.items():
            value = getattr(self, column)
            if value is not None and not 1 <= value <= limit:
                raise _bad(column, value, f"a number from 1 to {limit}")


@dataclass(frozen=True)
class Registry:
    """All versions of all tenants, ordered by tenant and date."""

    rows: tuple[TenantVersion, ...]

    def __post_init__(self) -> None:
        ordered = sorted(self.rows, key=_key)
        if any(_key(row) == _key(following) for row, following in pairwise(ordered)):
            raise BadInput("two versions of one tenant have the same valid_from")
        object.__setattr__(self, "rows", tuple(ordered))

    @property
    def default(self) -> bool:
        """Whether tenants without a row of their own are taken in."""
        return DEFAULT_TENANT in self._versions

    def version(self, tenant_id: str, day: date) -> TenantVersion | None:
        """Return the rules that hold for a tenant on a day, if any do. `*` is a rule and never a tenant."""
        if tenant_id == DEFAULT_TENANT:
            return None
        versions = self._versions.get(tenant_id) or self._versions.get(DEFAULT_TENANT, [])
        begun = bisect_right(versions, day, key=lambda version: version.valid_from)
        return versions[begun - 1] if begun else None

    def known(self, tenant_id: str, day: date) -> bool:
        return self.version(tenant_id, day) is not None

    def to_arrow(self) -> pa.Table:
        """Return a row per version."""
        return pa.Table.from_pylist([_values(row) for row in self.rows], schema=_SCHEMA)

    def of_day(self, day: date) -> pa.Table:
        """Return a row per tenant, `*` included: the version of a day, and before the first one the first one."""
        begun = (
            versions[max(bisect_right(versions, day, key=lambda version: version.valid_from), 1) - 1]
            for versions in self._versions.values()
        )
        return pa.Table.from_pylist([_values(row) for row in begun], schema=_SCHEMA)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the rows, whatever their order in the file. Tenant ids are in it: never published."""
        rows = [_values(row) for row in self.rows]
        return hashlib.sha256(json.dumps(rows, default=date.isoformat).encode()).hexdigest()

    @cached_property
    def _versions(self) -> Mapping[str, list[TenantVersion]]:
        versions: dict[str, list[TenantVersion]] = {}
        for row in self.rows:
            versions.setdefault(row.tenant_id, []).append(row)
        return versions


def load(directory: Path) -> Registry:
    """Read ``tenants.csv`` in a workspace's ``registry/``; an error names its line and column."""
    path = directory / "tenants.csv"
    if not path.exists():
        raise BadInput(f"{path} cannot be read (it is not there); `quorum init` makes one")
    lines: dict[tuple[str, date], int] = {}
    versions = []
    for line, cells in csv_file.rows(path, _SCHEMA.names, optional=_OPTIONAL):
        where = f"{path}, line {line}"
        try:
            version = _parse(cells)
        except BadInput as problem:
            raise BadInput(f"{where}, {problem}") from None
        earlier = lines.setdefault(_key(version), line)
        if earlier != line:
            raise BadInput(f"{where}, column valid_from: line {earlier} has the same date and tenant")
        versions.append(version)
    if not versions:
        raise BadInput(f"{path} lists no tenant: add a row for each, or * for all")
    return Registry(tuple(versions))


def template() -> str:
    """Return what ``quorum init`` writes for the operator to edit."""
    columns = [name for name in _SCHEMA.names if name not in _DEFAULTS]
    return f"{','.join(columns)}\n{_EXAMPLE}\n"


def _parse(cells: dict[str, str]) -> TenantVersion:
    text = {column: cell.strip() for column, cell in cells.items()}
    return TenantVersion(
        tenant_id=cells["tenant_id"],
        valid_from=_date(text, "valid_from"),
        industry=text["industry"],
        region=text["region"],
        size_band=text["size_band"],
        plan=text["plan"],
        owner_group=text.get("owner_group") or None,
        timezone=text["timezone"],
        week_start=text["week_start"].lower(),
        session_timeout_minutes=_number(text, "session_timeout_minutes"),
        benchmark_consent=_boolean(text, "benchmark_consent"),
        retention_days=_number(text, "retention_days"),
        freshness_sla_hours=_number(text, "freshness_sla_hours"),
        daily_event_quota=_number(text, "daily_event_quota"),
        daily_user_quota=_number(text, "daily_user_quota") if text.get("daily_user_quota") else None,
        publish_bundle=_boolean(text, "publish_bundle"),
        **{column: _number(text, column) for column in _DEFAULTS if text.get(column)},
    )


def _date(text: dict[str, str], column: str) -> date:
    found = csv_file.day(text[column])
    if found is None:
        raise _bad(column, text[column], "a date such as 2024-01-31")
    return found


def _number(text: dict[str, str], column: str) -> int:
    found = csv_file.whole_number(text[column])
    if found is None:
        raise _bad(column, text[column], "a whole number")
    return found


def _boolean(text: dict[str, str], column: str) -> bool:
    if text[column].lower() not in ("true", "false"):
        raise _bad(column, text[column], "true or false")
    return text[column].lower() == "true"


def _bad(column: str, value: object, expected: str) -> BadInput:
    return BadInput(f"column {column}: {shorten(value)} is not {expected}")


def _key(version: TenantVersion) -> tuple[str, date]:
    return version.tenant_id, version.valid_from


def _values(version: TenantVersion) -> dict[str, Any]:
    return {name: getattr(version, name) for name in _SCHEMA.names}


@cache
def _timezones() -> frozenset[str]:
    with duckdb.connect() as connection:
        names = connection.execute("select name from pg_timezone_names()").fetchall()
    return frozenset(name for (name,) in names)
