"""Small worlds to run nights over, and ways to look at what came of them."""

import shutil
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from quorum import nightly, warehouse
from quorum.simulate import Shape, simulate
from quorum.workspace import Workspace

SHARED_DATA = Path(__file__).parents[4] / "shared" / "data"
LAST_DAY = date(2026, 3, 29)


def silent(_step: str) -> None:
    pass


def simulated(root: Path, **shape: Any) -> Workspace:
    """Simulate a world of a few hundred rows, unless told otherwise."""
    root.mkdir(parents=True, exist_ok=True)
    simulate(root, Shape(**{"tenants": 4, "users": 12, "days": 14, "last_day": LAST_DAY, **shape}))
    return Workspace(root)


def run(workspace: Workspace, as_of: date = LAST_DAY) -> nightly.Report:
    return nightly.run(workspace, as_of, silent)


def sibling(workspace: Workspace, root: Path, *, keep: Callable[[Path], bool] = lambda _file: True) -> Workspace:
    """Make a fresh workspace with the same registry and keys, and those landing files that ``keep`` takes.

    The same keys make the same pseudonyms, so that relations can be compared.
    """
    for part in ("registry", "policy", "keyring"):
        if (workspace.root / part).is_dir():
            shutil.copytree(workspace.root / part, root / part)
    (root / "landing").mkdir(parents=True, exist_ok=True)
    for file in sorted(workspace.landing.rglob("*")):
        if file.is_file() and keep(file):
            target = root / file.relative_to(workspace.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)
    return Workspace(root)


def fetch(workspace: Workspace, plane: str, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with warehouse.opened(workspace, plane, read_only=True) as connection:
        return connection.execute(query, list(parameters)).fetchall()
