"""Small worlds to run nights over, and ways to look at what came of them."""

import csv
import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, date, datetime, time
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from click.testing import CliRunner, Result

from quorum import cli, nightly, warehouse
from quorum.expectations import Gate
from quorum.keyring import Keyring
from quorum.runner import Dbt
from quorum.simulate import Shape, simulate
from quorum.workspace import Workspace

SHARED_DATA = Path(__file__).parents[4] / "shared" / "data"
LAST_DAY = date(2026, 3, 29)
OF_TENANT_STAGE = tuple(f"models/{folder}/" for folder in ("utilities", "tenant", "marts/tenant", "governance/health"))


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


def silent(_step: str) -> None:
    pass


def simulated(root: Path, **shape: Any) -> Workspace:
    """Simulate a world of a few hundred rows, unless told otherwise."""
    root.mkdir(parents=True, exist_ok=True)
    simulate(root, Shape(**{"tenants": 4, "users": 12, "days": 14, "last_day": LAST_DAY, **shape}))
    return Workspace(root)


class Untested(Dbt):
    """dbt without its data tests, which are a quarter of the work of a small night.

    They are part of each night that several tests share, of the demo, and of all that runs in a process of its own.
    """

    def _invoke(self, command: str, arguments: list[str]) -> Any:
        return super()._invoke(command, [*arguments, *["--exclude-resource-type", "test"] * (command == "build")])


class _Partial(Untested):
    """The same, of whose tenant plane only some relations are built, and what those are made of."""

    def __init__(self, workspace: Workspace, relations: Sequence[str]) -> None:
        super().__init__(workspace)
        self._relations = relations

    def build(self, stage: str, target: str) -> None:
        if stage != "tenant":
            return super().build(stage, target)
        nodes = self.manifest().nodes
        left, found = [node for node in nodes.values() if node.name in self._relations], {"int_listed_units"}
        while left:
            node = left.pop()
            if node.name not in found and node.original_file_path.startswith(OF_TENANT_STAGE):
                found.add(node.name)
                left += [nodes[parent] for parent in node.depends_on.nodes if parent in nodes]
        self._invoke("build", ["--select", *sorted(found), "--target", target])
        return None


@contextmanager
def untested() -> Iterator[None]:
    """Let whole nights go without data tests and the gate's suites, a third of what is left without the former."""
    with (
        mock.patch.object(nightly, "Dbt", Untested),
        mock.patch.object(Gate, "check", return_value=None),
        mock.patch.object(Gate, "write_pages"),
    ):
        yield


def run(workspace: Workspace, as_of: date = LAST_DAY, *, tested: bool = False) -> nightly.Report:
    """Do a whole night."""
    with nullcontext() if tested else untested():
        return nightly.run(workspace, as_of, silent)


@contextmanager
def only_publishing() -> Iterator[None]:
    """Let nights do their last part alone: what the warehouse holds is checked and published as it stands."""
    with (
        mock.patch.object(nightly._Night, "ingest", nightly._Night.read_rules),
        mock.patch.object(nightly._Night, "build", nightly._Night.count_rows),
        mock.patch.object(nightly._Night, "answer"),
    ):
        yield


def ingest(workspace: Workspace, as_of: date = LAST_DAY, *, tested: bool = False) -> nightly.Report:
    """Do the first third of a night: what lands is judged, redacted and accounted for, and no mart follows it yet."""
    night = begun(workspace, as_of, Dbt if tested else Untested)
    night.count_rows()
    return night.report


def build(
    workspace: Workspace, as_of: date = LAST_DAY, *, tested: bool = False, only: Sequence[str] = ()
) -> nightly.Report:
    """Do the first half of a night, which makes the tenant plane: nothing is released, nothing published.

    With ``only`` some relations of that plane are built, and what those are made of; the others would miss what came
    in such a night, so that all nights of a workspace have to name the same.
    """
    dbt = partial(_Partial, relations=(*only, "fct_person_days")) if only else Dbt if tested else Untested
    night = begun(workspace, as_of, dbt)
    night.build()
    return night.report


def events_alone(workspace: Workspace, as_of: date = LAST_DAY) -> nightly._Night:
    """Take rows in as far as private releases read them: events and the registry, and nothing that is made of these."""
    night = begun(workspace, as_of)
    Dbt(workspace)._invoke("run", ["--select", "dim_tenants", "--target", "tenant"])
    night.count_rows()
    return night


def answer(workspace: Workspace, as_of: date = LAST_DAY) -> nightly.Report:
    """Take rows in and answer what is due: no other mart of a tenant follows, nothing is published."""
    night = events_alone(workspace, as_of)
    night.answer()
    return night.report


def begun(workspace: Workspace, as_of: date, dbt: Callable[[Workspace], Dbt] = Untested) -> nightly._Night:
    """Begin a night that is to go on from what it has taken in."""
    workspace.prepare()
    with mock.patch.object(nightly, "Dbt", dbt):
        night = nightly._Night(workspace, as_of, silent)
    night.ingest()
    return night


def quorum(workspace: Workspace, *arguments: str, tested: bool = False) -> Result:
    """Run a command of the console script, where its exit code and its words matter, and data tests mostly do not."""
    with mock.patch.object(nightly, "Dbt", Dbt if tested else Untested):
        return CliRunner().invoke(cli.main, [*arguments, "--workspace", str(workspace.root)])


def registered(root: Path, rows: Iterable[Mapping[str, str]]) -> Workspace:
    """Make a workspace, or give one another registry."""
    first, *others = rows
    path = root / "registry" / "tenants.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(first), lineterminator="\n")
        writer.writeheader()
        writer.writerows([first, *others])
    (root / "landing").mkdir(exist_ok=True)
    return Workspace(root)


def declare(workspace: Workspace, name: str, columns: str, rows: Iterable[Sequence[str]]) -> None:
    """Write another file of the registry."""
    with (workspace.registry / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns.split(","), *rows])


def unregister(workspace: Workspace, tenant: str) -> None:
    """Take a tenant out of all files of the registry."""
    for path in workspace.registry.glob("*.csv"):
        first, *lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join([first, *(line for line in lines if not line.startswith(f"{tenant},"))]))


def land(
    workspace: Workspace, name: str, rows: Iterable[Mapping[str, Any] | str], source_format: str = "quorum"
) -> Path:
    """Write a file of a format, a line for each row."""
    path = workspace.landing / source_format / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    return path


def real(name: str, root: Path) -> Workspace:
    """Copy real inputs into a workspace of their own: they are read-only, and a run is not."""
    for part in ("landing", "registry", "policy"):
        shutil.copytree(SHARED_DATA / name / part, root / part, copy_function=shutil.copyfile)
    return Workspace(root)


def copied(workspace: Workspace, root: Path) -> Workspace:
    """Copy a whole workspace, for a test that would change it."""
    shutil.copytree(workspace.root, root, symlinks=True)
    return Workspace(root)


def unanswered(workspace: Workspace) -> None:
    """Forget all answers and what was published, as if nothing had been asked yet."""
    for part in ("published", "ledger", "restricted/releases"):
        shutil.rmtree(workspace.root / part)
    workspace.audit_log.unlink()
    workspace.heads.unlink()


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


def rows_by_tenant(workspace: Workspace, query: str, plane: str = "tenant") -> dict[str, list[tuple[Any, ...]]]:
    """Return what a query over a plane finds, by tenant id; the tenant's key is its first column."""
    names = {keys.tenant_key: tenant_id for tenant_id, keys in Keyring.open(workspace.keyring).tenants().items()}
    found = defaultdict(list)
    for tenant_key, *values in fetch(workspace, plane, query):
        found[names[tenant_key]].append(tuple(values))
    return dict(found)


def file_hashes(folder: Path) -> dict[str, str]:
    """Return what a folder holds, by path: the SHA-256 of each file, and where each link points."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }
