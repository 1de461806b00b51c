"""Forgetting users, devices and tenants on demand: the rows are read again, and nothing is there.

In one transaction the rows are marked, their texts in the restricted plane go, and a subject without a name is kept
for those that arrive late. What follows from it (the tenant plane, the raw files, the databases' pages) can be
killed at any moment: the next night ends it, or the same command.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import pyarrow as pa

from quorum import (
    erased_rows,
    erasure_search,
    lines_read_again,
    nightly,
    registry,
    subjects,
    tenant_rules,
    tracking_plan,
    warehouse,
)
from quorum.audit import AuditLog
from quorum.errors import BadInput, Refused
from quorum.forgetting import Forgotten
from quorum.hash_chain import ChainedLog
from quorum.keyring import Keyring
from quorum.landing import Problem
from quorum.subjects import DEVICE, TENANT, USER, Person
from quorum.workspace import Workspace

NONCE_BYTES = 32
SUBJECTS = pa.schema([("tenant_subject", pa.string()), ("subject", pa.string()), ("erased_before", pa.timestamp("us"))])


@dataclass(frozen=True)
class Request:
    """Whom to forget: users and devices of a tenant, or with neither all of it."""

    tenant_id: str = field(repr=False)
    users: tuple[str, ...] = field(default=(), repr=False)
    devices: tuple[str, ...] = field(default=(), repr=False)

    def people(self) -> list[Person]:
        return subjects.persons(USER, self.users) + subjects.persons(DEVICE, self.devices)


@dataclass
class Receipt:
    """What was done, and the nonce with which it can be shown later that it was done for this id."""

    tenant_key: str | None
    nonce: str
    audit_entry: int
    people: int
    rows: dict[str, int]
    forgotten: Forgotten
    problems: list[Problem]


def erase(
    workspace: Workspace, as_of: date, request: Request, progress: Callable[[str], None], before: datetime | None = None
) -> Receipt:
    """Forget a request's people as far as the tenant plane and the raw files; the next night publishes without them.

    What happened ``before`` is forgotten when it arrives late, too.
    """
    people = request.people()
    _refuse_listed(workspace, request.tenant_id, people)
    before = (before or now()).astimezone(UTC).replace(tzinfo=None)
    nonce = secrets.token_bytes(NONCE_BYTES)
    with nightly.between_nights(workspace, as_of, progress) as night:
        progress("looking for the rows")
        keyring = Keyring.open(workspace.keyring)
        keys = keyring.tenants().get(request.tenant_id)
        rows = _mark(workspace, as_of, request.tenant_id, people, keyring, before)
        entry = AuditLog(workspace).append(
            "erasure",
            tenant=keys.tenant_key if keys else None,
            commitments=sorted(commitments(nonce, request.tenant_id, people)),
            rows=rows,
        )
        night.work_off()
        night.build()
    return Receipt(
        tenant_key=keys.tenant_key if keys else None,
        nonce=nonce.hex(),
        audit_entry=entry.seq,
        people=len(people),
        rows=rows,
        forgotten=night.report.forgotten or Forgotten(),
        problems=night.report.problems,
    )


def now() -> datetime:
    """Return the instant of the erasure: what comes after it is a new start."""
    return datetime.now(UTC)


def commitments(nonce: bytes, tenant_id: str, people: Iterable[Person]) -> list[str]:
    """Return what the audit log holds for people, or for a whole tenant: nothing without the nonce, proof with it."""
    said = [f"{each.kind}:{len(tenant_id)}:{tenant_id}:{each.folded}" for each in people]
    return [hmac.new(nonce, text.encode(), hashlib.sha256).hexdigest() for text in said or [f"{TENANT}:{tenant_id}"]]


def proof(workspace: Workspace, nonce: str, request: Request) -> dict[str, Any]:
    """Find the audit log's entry of an erasure that covers all of a request, by the nonce of its receipt."""
    sought = set(commitments(_read_nonce(nonce), request.tenant_id, request.people()))
    log = ChainedLog(workspace.audit_log)
    log.verify()
    for entry in log.records():
        if entry.kind == "erasure" and sought <= set(entry.facts["commitments"]):
            return {"audit_entry": entry.seq, "tenant_key": entry.facts["tenant"], "rows": entry.facts["rows"]}
    raise Refused("the audit log holds no erasure that this receipt and these ids are of")


def _read_nonce(text: str) -> bytes:
    try:
        nonce = bytes.fromhex(text)
    except ValueError:
        nonce = b""
    if len(nonce) != NONCE_BYTES:
        raise BadInput(f"the nonce of a receipt is {2 * NONCE_BYTES} hexadecimal digits: give all that was printed")
    return nonce


def _refuse_listed(workspace: Workspace, tenant_id: str, people: list[Person]) -> None:
    """Refuse to forget whom the operator's own files still name: the next night would learn of them anew."""
    tenants = registry.load(workspace.registry)
    if people:
        folded = {(each.kind, each.folded) for each in people}
        for line, (user, device) in tenant_rules.listed_ids(workspace.registry, tenants, tenant_id).items():
            kind, text = (USER, user) if user else (DEVICE, device or "")
            if any((kind, each.folded) in folded for each in subjects.persons(kind, [text])):
                raise Refused(f"the registry still lists one of them: take line {line} out of internal_users.csv first")
        return
    planned = tracking_plan.load(workspace.registry)["tenant_id"].to_pylist()
    ruled = tenant_rules.tenant_ids(workspace.registry)
    if tenant_id in {row.tenant_id for row in tenants.rows}.union(planned, ruled):
        raise Refused("the registry still lists this tenant: take it off all files in registry/ first")


def _mark(
    workspace: Workspace, as_of: date, tenant_id: str, people: list[Person], keyring: Keyring, before: datetime
) -> dict[str, int]:
    """Find and mark the rows; return how many were found where."""
    key = keyring.erasure_key()
    keys = keyring.tenants().get(tenant_id)
    with (
        warehouse.opened(workspace, "restricted") as connection,
        erasure_search.searching(connection, workspace),
    ):
        connection.begin()
        known: set[str] = set()
        if people:
            erasure_search.find_people(connection, workspace, tenant_id, keys, people)
            known = erasure_search.subjects(connection, key, tenant_id, people)
        else:
            erasure_search.find_tenant(connection, workspace, tenant_id, keys.tenant_key if keys else None)
            known = {subjects.of_tenant(key, tenant_id)}
        lines_read_again.clear(connection)
        rows = dict(connection.execute("select place, count(*) from found group by place order by place").fetchall())
        connection.execute(
            "delete from int_admissions where tenant_key = $1 and unit_key in (select unit_key from found)",
            [keys.tenant_key if keys else None],
        )
        connection.execute(
            "create or replace temp table marked as select distinct landing_file, landing_row from found"
        )
        erased_rows.mark(connection, erased_rows.ERASED, as_of)
        _remember(connection, subjects.of_tenant(key, tenant_id), known, before)
        if not people and keys:
            connection.execute("insert into erased_tenants values (?)", [keys.tenant_key])
            erased_rows.call_for(connection, as_of, urgent=True)
        connection.commit()
    return rows


def _remember(connection: duckdb.DuckDBPyConnection, tenant: str, known: set[str], before: datetime) -> None:
    """Keep subjects; of one that is there already, the later instant counts."""
    rows = [{"tenant_subject": tenant, "subject": subject, "erased_before": before} for subject in sorted(known)]
    connection.register("incoming", pa.Table.from_pylist(rows, SUBJECTS))
    connection.execute(
        "create or replace temp table known as select tenant_subject, subject, max(erased_before) as erased_before "
        "from (from incoming union all from erased_subjects) group by tenant_subject, subject"
    )
    connection.unregister("incoming")
    connection.execute("delete from erased_subjects")
    connection.execute("insert into erased_subjects from known")
