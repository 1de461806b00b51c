"""What a workspace's ``policy/`` says, checked against what is shipped: stricter, or refused.

``releases.yml`` is resolved in ``quorum.policy``; ``budgets.csv`` overrides the seed of the same name, row by row.
Fields have a module of their own, ``quorum.field_policies``.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from quorum import csv_file
from quorum.budget import WINDOWS, Budget
from quorum.errors import BadInput, Refused
from quorum.policy import MAX_BUDGET, asked_number

COLUMNS = ("population", "time_window", "rho")


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


def budget(population: str, folder: Path, shipped: Path) -> Budget:
    """Return a population's limits: the shipped ones, or lower ones of ``policy/budgets.csv``."""
    base = csv_file.policy_rows(shipped, f"seeds/policy/{shipped.name}", COLUMNS)
    populations = {row["population"] for row in base}
    limits = {row["time_window"]: Decimal(row["rho"]) for row in base if row["population"] == population}
    path = folder / "budgets.csv"
    own = csv_file.policy_rows(path, f"policy/{path.name}", COLUMNS) if path.is_file() else []
    for number, row in enumerate(own, start=2):
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
