"""What a workspace's ``policy/`` says, checked against what is shipped: stricter, or refused.

``releases.yml`` is resolved in ``quorum.policy``; ``field_policies.csv`` and ``budgets.csv`` override seeds of the
same name, row by row.
"""

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from quorum import settings
from quorum.budget import WINDOWS, Budget
from quorum.errors import BadInput, Refused
from quorum.policy import MAX_BUDGET, asked_number

# From lax to strict; a workspace may only move a field to the right. `drop` is right of everything.
STRICTNESS = {
    "keep": 0,
    "keep_listed": 1,
    "strip": 1,
    "truncate": 1,
    "generalise": 1,
    "tokenise_exact": 2,
    "tokenise": 2,
}
DROP = 9
# without these a row is no event, so no policy can drop them
NEEDED = ("event_id", "occurred_at", "user_id", "anonymous_id")


def release_overrides(folder: Path) -> dict[str, dict[str, Any]]:
    """Read ``policy/releases.yml``; none is no override."""
    path = folder / "releases.yml"
    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise BadInput("policy/releases.yml: is not YAML") from None
    releases = content.get("releases") if isinstance(content, dict) and set(content) == {"releases"} else None
    if not isinstance(releases, dict) or not all(isinstance(value, dict) for value in releases.values()):
        raise BadInput("policy/releases.yml: expected `releases:` with a block for each release")
    return releases


def field_overrides(folder: Path, shipped: Path) -> list[dict[str, str]]:
    """Read ``policy/field_policies.csv``; each row must redact a field harder than the shipped seed does."""
    path = folder / "field_policies.csv"
    if not path.is_file():
        return []
    shipped_rows = _csv(shipped)
    rows = _csv(path)
    for number, row in enumerate(rows, start=2):
        where = f"policy/field_policies.csv line {number}"
        if row["action"] not in {*STRICTNESS, "drop"}:
            raise BadInput(f"{where}: unknown action")
        if row["source_format"] not in {"*", *settings.formats()}:
            raise BadInput(f"{where}: unknown source_format")
        if row["action"] == "drop" and row["field"] in NEEDED:
            raise BadInput(f"{where}: {row['field']} cannot be dropped, a row without it is no event")
        if any(
            (row["source_format"], row["field"]) == (other["source_format"], other["field"])
            for other in rows[: number - 2]
        ):
            raise BadInput(f"{where}: this field of this format stands twice")
        for before in _shipped_for(row, shipped_rows):
            if STRICTNESS.get(row["action"], DROP) < STRICTNESS.get(before["action"], DROP):
                raise Refused(f"{where}: {row['action']} is laxer than {before['action']}")
            if row["class"] != before["class"]:
                raise Refused(f"{where}: the class of a field is {before['class']} and stays so")
    return rows


def _shipped_for(row: dict[str, str], shipped: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return what a row would replace: for all formats, each format's own; where nothing is shipped, a drop."""
    same_field = [other for other in shipped if other["field"] == row["field"]]
    own = [other for other in same_field if row["source_format"] in (other["source_format"], "*")]
    fallback = [other for other in same_field if other["source_format"] == "*"]
    return own or fallback or [{**row, "action": "drop"}]


def budget(population: str, folder: Path, shipped: Path) -> Budget:
    """Return a population's limits: the shipped ones, or lower ones of ``policy/budgets.csv``."""
    populations = {row["population"] for row in _csv(shipped)}
    limits = {row["time_window"]: Decimal(row["rho"]) for row in _csv(shipped) if row["population"] == population}
    path = folder / "budgets.csv"
    for number, row in enumerate(_csv(path) if path.is_file() else [], start=2):
        window = row["time_window"]
        if row["population"] not in populations:
            raise BadInput(f"policy/budgets.csv line {number}: unknown population")
        if row["population"] != population:
            continue
        if window not in limits:
            raise BadInput(f"policy/budgets.csv line {number}: unknown window")
        asked = asked_number(population, "rho_atoms", row["rho"])
        if asked > limits[window]:
            raise Refused(f"policy/budgets.csv line {number}: a budget may only be lower than the shipped one")
        limits[window] = asked
    for window, most in MAX_BUDGET.items():
        if window not in limits or limits[window] > most:
            raise Refused(f"the budget of {population} must name a {window}, of rho {most} at the most")
    return Budget(population, {window: limits[window] for window in WINDOWS if window in limits})


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if any(None in row or None in row.values() for row in rows):
        raise BadInput(f"policy/{path.name}: a row has too few or too many fields")
    return rows
