"""What becomes of each field: ``seeds/policy/field_policies.csv`` as shipped, and a workspace's stricter rows.

A row decides one field of the event contract, or one property, for one raw format or for all of them. Which actions
a field of the contract can take is what the models have a form for; a property can take what suits its class.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from quorum import csv_file, settings
from quorum.errors import BadInput, Refused

COLUMNS = ("source_format", "field", "class", "action")
# From lax to strict; a workspace may only move a field to the right.
STRICTNESS = {
    "keep": 0,
    "keep_listed": 1,
    "strip": 1,
    "truncate": 1,
    "generalise": 1,
    "scrub": 1,
    "coarsen": 1,
    "tokenise_exact": 2,
    "tokenise": 3,
    "drop": 9,
}
# What suits a class. Text of the input is never kept as it is: a label passes where a list knows the word.
SUITABLE: Mapping[str, Collection[str]] = {
    "identifier": ("tokenise_exact", "tokenise", "drop"),
    "label": ("keep_listed", "drop"),
    "time": ("keep", "coarsen", "drop"),
    "url": ("strip", "generalise", "tokenise_exact", "tokenise", "drop"),
    "ip_address": ("truncate", "tokenise", "drop"),
    "user_agent": ("generalise", "drop"),
    "geography": ("keep", "keep_listed", "generalise", "coarsen", "drop"),
    "quantity": ("keep", "coarsen", "drop"),
    "amount": ("keep", "coarsen", "drop"),
    "flag": ("keep", "drop"),
    "email": ("generalise", "tokenise_exact", "tokenise", "drop"),
    "phone": ("generalise", "tokenise_exact", "tokenise", "drop"),
    "free_text": ("scrub", "drop"),
}
# From narrow to wide: the nightly job alone; who works in the tenant plane; whoever a mart is published to.
AUDIENCES = ("restricted", "tenant", "published")
# without these a row is no event, so no policy can drop them
NEEDED = ("tenant_id", "event_id", "occurred_at", "user_id", "anonymous_id")
# The name of a property goes into a JSON path and into the JSON that comes out.
_FIELD = re.compile(r'[a-z_]+|properties\.[^"\\\x00-\x1f\x7f]+')

Forms = Mapping[str, Collection[str]]  # fields of the event contract, and the actions that the models know for each


def shipped(path: Path, forms: Forms) -> list[dict[str, str]]:
    """Read the seed; each row must be one that the models can do, and say who may see what comes out."""
    name = f"seeds/policy/{path.name}"
    rows = csv_file.policy_rows(path, name, (*COLUMNS, "audience"))
    for number, row in enumerate(rows, start=2):
        where = f"{name} line {number}"
        _refuse_unreadable(where, row, rows[: number - 2])
        _refuse_unsuited(where, row, forms)
        if row["audience"] not in AUDIENCES:
            raise BadInput(f"{where}: audience is not one of {', '.join(AUDIENCES)}")
        if (row["audience"] == "restricted") != (row["action"] == "drop"):
            raise BadInput(f"{where}: what is dropped is for the restricted plane, and nothing else is")
    return rows


def overrides(folder: Path, before: list[dict[str, str]], forms: Forms) -> list[dict[str, str]]:
    """Read ``policy/field_policies.csv``; each row must redact a field harder than the shipped seed does."""
    path = folder / "field_policies.csv"
    if not path.is_file():
        return []
    rows = csv_file.policy_rows(path, f"policy/{path.name}", COLUMNS)
    for number, row in enumerate(rows, start=2):
        where = f"policy/{path.name} line {number}"
        _refuse_unreadable(where, row, rows[: number - 2])
        replaced = _replaced(row, before)
        for other in replaced:
            if STRICTNESS[row["action"]] < STRICTNESS[other["action"]]:
                raise Refused(f"{where}: {row['action']} is laxer than {other['action']}")
            if row["class"] != other["class"]:
                raise Refused(f"{where}: the class of a field is {other['class']} and stays so")
        _refuse_unsuited(where, row, forms)
        narrowest = min((other["audience"] for other in replaced), key=AUDIENCES.index)
        row["audience"] = AUDIENCES[0] if row["action"] == "drop" else narrowest
    return rows


def decided(before: list[dict[str, str]], changes: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return the row that decides about each field of each format, as ``int_field_decisions`` finds it."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for source_format in settings.formats():
        for rows in (before, changes):
            for of_format in ("*", source_format):
                found |= {(source_format, row["field"]): row for row in rows if row["source_format"] == of_format}
    return list(found.values())


def digest(before: list[dict[str, str]], changes: list[dict[str, str]]) -> str:
    """Return the SHA-256 over what is shipped and what the workspace makes of it."""
    return hashlib.sha256(json.dumps([before, changes]).encode()).hexdigest()


def _refuse_unreadable(where: str, row: dict[str, str], earlier: list[dict[str, str]]) -> None:
    if row["action"] not in STRICTNESS:
        raise BadInput(f"{where}: unknown action")
    if row["class"] not in SUITABLE:
        raise BadInput(f"{where}: unknown class")
    if row["source_format"] not in {"*", *settings.formats()}:
        raise BadInput(f"{where}: unknown source_format")
    if not _FIELD.fullmatch(row["field"]):
        raise BadInput(f"{where}: field is none of the event contract, nor properties.<name>")
    if row["action"] == "drop" and row["field"] in NEEDED:
        raise BadInput(f"{where}: {row['field']} cannot be dropped, a row without it is no event")
    if any((row["source_format"], row["field"]) == (other["source_format"], other["field"]) for other in earlier):
        raise BadInput(f"{where}: this field of this format stands twice")


def _refuse_unsuited(where: str, row: dict[str, str], forms: Forms) -> None:
    """Refuse an action that would give NULL in silence, for no model knows what to do."""
    field, action = row["field"], row["action"]
    if "." not in field and field not in forms:
        raise BadInput(f"{where}: field is none of the event contract, nor properties.<name>")
    if action not in SUITABLE[row["class"]]:
        raise BadInput(f"{where}: {action} does not suit the class {row['class']}")
    known = {*forms.get(field, SUITABLE[row["class"]]), "drop"}
    if action not in known:
        raise BadInput(f"{where}: {action} does not suit the field {field}: it can be {', '.join(sorted(known))}")


def _replaced(row: dict[str, str], before: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return what a row would replace: for all formats, each format's own; where nothing is shipped, a drop."""
    same_field = [other for other in before if other["field"] == row["field"]]
    own = [other for other in same_field if row["source_format"] in (other["source_format"], "*")]
    fallback = [other for other in same_field if other["source_format"] == "*"]
    return own or fallback or [{**row, "action": "drop", "audience": AUDIENCES[0]}]
