"""Asking for deeper looks and deciding about them: each step an entry of the audit log, and never by one alone."""

from datetime import date
from typing import Any

from quorum import looks, planning, rules, settings
from quorum.audit import AuditLog
from quorum.errors import BadInput, Refused
from quorum.looks import APPROVED, DECIDED, REQUESTED, Looked, Request
from quorum.rules import Policies
from quorum.runner import Dbt
from quorum.workspace import Workspace

REFUSED = "refused"


def request(workspace: Workspace, as_of: date, **asked: Any) -> dict[str, Any]:
    """Write a request down; return its number, what it would cost, and from how many users on it would show what.

    ``asked`` are the fields of Request. Raises BadInput or Refused for what could never be approved.
    """
    for name in ("by", "why"):
        if not asked[name].strip():
            raise BadInput(f"a request says {'who asks' if name == 'by' else 'why'}")
    if asked["until"] < as_of:
        raise BadInput(f"--until {asked['until']} is over")
    workspace.prepare()
    with workspace.locked():
        audit = AuditLog(workspace)
        number = max(looks.of_log(audit.records()), default=0) + 1
        new = Request(**asked, number=number, on=settings.today())
        policies = rules.load_policies(workspace, Dbt(workspace), as_of)
        found = _planned(workspace, policies, new, as_of)
        audit.append(REQUESTED, **new.facts())
    return {"request": number, **found}


def approve(workspace: Workspace, as_of: date, number: int, by: str, why: str) -> dict[str, Any]:
    """Approve an open request; raises Refused for one's own, and where the budget has no room for what is due of it."""
    workspace.prepare()
    with workspace.locked():
        audit = AuditLog(workspace)
        known = _one(audit, number)
        if known.state != "open":
            raise Refused(f"request {number} is {known.state} already")
        if known.request.by.strip().casefold() == by.strip().casefold():
            raise Refused(f"request {number} is {by}'s own: somebody else has to approve it")
        if known.request.until < as_of:
            raise Refused(f"request {number} was for until {known.request.until}: it takes a new one")
        policies = rules.load_policies(workspace, Dbt(workspace), as_of)
        found = _planned(workspace, policies, known.request, as_of)
        if found["no_room"]:
            raise Refused(f"request {number} cannot be paid: {found['no_room']}")
        _decide(audit, number, by, why, APPROVED)
    return {"request": number, **found}


def refuse(workspace: Workspace, number: int, by: str, why: str) -> dict[str, Any]:
    """Refuse a request, or end one that was approved."""
    workspace.prepare()
    with workspace.locked():
        audit = AuditLog(workspace)
        if _one(audit, number).state == REFUSED:
            raise Refused(f"request {number} is refused already")
        _decide(audit, number, by, why, REFUSED)
    return {"request": number, "state": REFUSED}


def listed(workspace: Workspace, today: date) -> dict[str, Any]:
    """Return all requests, oldest first."""
    return {"requests": [_row(each, today) for each in looks.of_log(AuditLog(workspace).records()).values()]}


def _row(looked: Looked, today: date) -> dict[str, Any]:
    asked = looked.request
    is_over = looked.state == APPROVED and asked.until < today
    return {
        "request": asked.number,
        "state": "over" if is_over else looked.state,
        "release": asked.release,
        "cells": ", ".join((*asked.metrics, *asked.keys, *asked.levels)) or "all",
        "first": asked.first,
        "last": asked.last,
        "rho": asked.rho_atoms + asked.rho_parents,
        "until": asked.until,
        "asked": f"{asked.on} {asked.by}: {asked.why}",
        "decided": _decided(looked) if looked.decided_by else None,
    }


def _decided(looked: Looked) -> str:
    why = f": {looked.decided_why}" if looked.decided_why else ""
    return f"{looked.decided_on} {looked.decided_by}{why}"


def _one(audit: AuditLog, number: int) -> Looked:
    found = looks.of_log(audit.records())
    if number not in found:
        raise BadInput(f"there is no request {number}: `quorum requests` lists them")
    return found[number]


def _decide(audit: AuditLog, number: int, by: str, why: str, decision: str) -> None:
    if not by.strip():
        raise BadInput("a decision says whose it is")
    audit.append(DECIDED, number=number, on=str(settings.today()), by=by, why=why, decision=decision)


def _planned(workspace: Workspace, policies: Policies, asked: Request, as_of: date) -> dict[str, Any]:
    releases = {spec.name: spec for spec in policies.specs if spec.source == spec.name}
    known = planning.known_keys(workspace, policies)
    return planning.of_look(workspace, policies, asked.spec(releases, known), known, as_of)
