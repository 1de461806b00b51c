"""What was planted in the raw rows stays in the restricted plane, after nights that end well and nights that fail."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from quorum import cli, nightly, settings, suites
from quorum.keyring import MASTER_KEY_VARIABLE
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.canaries import KINDS, Planter, bundle_keys, canaries, plant_everywhere, secrets
from tests.end_to_end.conftest import Night as NightBefore
from tests.end_to_end.leaks import Leak, leaks, places
from tests.end_to_end.spellings import Canary

PROJECT = settings.project_directory()
RESTRICTED = {"landing", "restricted", "keyring", "registry", "truth"}


@dataclass(frozen=True)
class Night:
    """How a command ended, and which canaries and keys stood where after it."""

    exit_code: int
    stdout: str
    stderr: str
    found: set[Leak] = field(repr=False)


@dataclass(frozen=True)
class Planted:
    """A workspace with a release, where canaries have landed since."""

    root: Path
    plant: Planter
    unread: Planter

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.root / "workspace")

    @property
    def canaries(self) -> set[Canary]:
        return canaries(self.workspace, self.plant, self.unread)

    @property
    def secrets(self) -> set[Canary]:
        return secrets(self.workspace)

    def night(self, name: str, *command: str, **environment: str) -> Night:
        """Run a command in folders of its own, then search them and the workspace."""
        return self._ended(name, command, environment, None)

    def killed_night(self, name: str, after: str, *command: str) -> Night:
        """Run a command, and kill it once it has said what it does next."""
        return self._ended(name, command, {}, after)

    def _ended(self, name: str, command: tuple[str, ...], environment: dict[str, str], after: str | None) -> Night:
        outside = self.root / name
        for folder in ("home", "temporary", "cwd"):
            (outside / folder).mkdir(parents=True)
        environment |= {"HOME": f"{outside}/home", "TMPDIR": f"{outside}/temporary"}
        environment |= {"QUORUM_WORKSPACE": str(self.workspace.root)}
        with (outside / "stdout").open("wb") as to_stdout, (outside / "stderr").open("wb") as to_stderr:
            running = subprocess.Popen(
                [Path(sys.executable).with_name(command[0]), *command[1:]],
                cwd=outside / "cwd",
                env=os.environ | environment,
                stdout=to_stdout,
                stderr=to_stderr,
            )
            while after and running.poll() is None and after not in (outside / "stderr").read_text():
                time.sleep(0.05)
            if after:
                running.kill()
            running.wait()
        found = leaks(self.canaries | self.secrets, places(self.root, bundle_keys(self.workspace)))
        stdout, stderr = ((outside / said).read_text() for said in ("stdout", "stderr"))
        return Night(running.returncode, stdout, stderr, found)


@pytest.fixture(scope="module")
def planted(simulated_night: NightBefore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    root = tmp_path_factory.mktemp("planted")
    workspace = worlds.copied(simulated_night.workspace, root / "workspace")
    planted = Planted(root, Planter(), Planter(first=3000))
    plant_everywhere(workspace, planted.plant, planted.unread)
    development_key = workspace.keyring / "development.key"
    with pytest.MonkeyPatch.context() as environment:  # where the master key is, outside of trials
        environment.setenv(MASTER_KEY_VARIABLE, development_key.read_text())
        development_key.unlink()
        yield planted


@pytest.fixture(scope="module")
def nights(planted: Planted) -> dict[str, Night]:
    """Kill a night, fail one while raw rows are in the batch, build by hand over them, and end a night well.

    By hand is plain ``dbt build``, unit tests included; that it did no harm, the row accounting of the last night says.
    """
    by_hand = planted.root / "build by hand"
    as_of = f"--as-of={worlds.LAST_DAY}"
    return {
        "killed run": planted.killed_night("killed run", "redacting them", "quorum", "run", as_of),
        "failed run": planted.night("failed run", "quorum", "run", as_of, QUORUM_PROJECT=str(broken(planted.root))),
        "build by hand": planted.night(
            "build by hand",
            "dbt",
            "build",
            f"--project-dir={PROJECT}",
            f"--profiles-dir={PROJECT}/profiles",
            f"--target-path={by_hand}/target",
            f"--log-path={by_hand}/logs",
        ),
        "good run": planted.night("good run", "quorum", "run", as_of),
    }


NIGHTS = ("killed run", "failed run", "build by hand", "good run")


def broken(root: Path) -> Path:
    """Copy the project, with a data test and a model that fail over raw values."""
    copy = root / "project"
    for part in ("models", "macros", "seeds", "tests", "profiles"):
        shutil.copytree(PROJECT / part, copy / part)
    for part in ("dbt_project.yml", "selectors.yml"):
        shutil.copy(PROJECT / part, copy / part)
    (copy / "models/redaction/users_as_numbers.sql").write_text(
        "select cast(user_id as integer) as user_number from {{ ref('int_events_landed') }}"
    )
    (copy / "tests/no_user.sql").write_text(
        "{{ config(group='restricted') }} select payload from {{ ref('int_quarantine') }}\n"
        "-- and with the row accounting: depends_on {{ ref('gov_landing_accounting') }}"
    )
    return copy


def is_public(file: Path) -> bool:
    return not (file.parts[0] == "workspace" and file.parts[1] in RESTRICTED)


@pytest.mark.parametrize("name", NIGHTS)
def test_no_canary_leaves_the_restricted_plane(planted: Planted, nights: dict[str, Night], name: str) -> None:
    sought = planted.canaries
    assert not {leak for leak in nights[name].found if leak.canary in sought and is_public(leak.file)}


@pytest.mark.parametrize("name", NIGHTS)
def test_no_key_leaves_the_keyring(planted: Planted, nights: dict[str, Night], name: str) -> None:
    sought = planted.secrets
    assert not {leak for leak in nights[name].found if leak.canary in sought}


@pytest.mark.parametrize("name", ["killed run", "failed run", "build by hand"])
def test_every_canary_is_there_to_be_found(planted: Planted, nights: dict[str, Night], name: str) -> None:
    """While their lines are in the batch: a night that ends well keeps whole only those that it refused."""
    rows = {leak for leak in nights[name].found if leak.file.name == "restricted.duckdb" and leak.part != "its bytes"}
    assert set(planted.plant.planted) <= {leak.canary for leak in rows}


def test_there_are_a_thousand_of_many_kinds(planted: Planted) -> None:
    assert len(KINDS) >= 20
    assert len(set(planted.plant.planted)) >= 1000


def test_only_the_owner_reads_the_restricted_plane(planted: Planted, nights: dict[str, Night]) -> None:
    modes = {part: (planted.workspace.root / part).stat().st_mode & 0o777 for part in RESTRICTED}
    assert modes == dict.fromkeys(RESTRICTED, 0o700)


def test_nights_end_as_they_should(nights: dict[str, Night]) -> None:
    assert nights["killed run"].exit_code == -signal.SIGKILL
    assert nights["failed run"].exit_code == 1
    assert {"no_user", "users_as_numbers"} <= set(re.findall(r"\w+", nights["failed run"].stderr))
    log = Path("workspace/restricted/dbt/logs/dbt.log")
    assert log in {leak.file for leak in nights["failed run"].found}  # the database's message does echo a value
    assert nights["build by hand"].exit_code == 0
    assert re.search("Finished running .* unit tests", nights["build by hand"].stdout)
    assert nights["good run"].exit_code == 2  # three files could not be taken
    assert "cut short" in nights["good run"].stderr


def test_a_gate_that_fails_names_no_value(
    planted: Planted,
    nights: dict[str, Night],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(planted.workspace.root, tmp_path / "workspace", symlinks=True)
    for variable, folder in (("HOME", "home"), ("TMPDIR", "temporary")):
        (tmp_path / folder).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(suites, "PSEUDONYM", "^every tenant key fails$")

    arguments = ["run", f"--workspace={tmp_path}/workspace", f"--as-of={worlds.LAST_DAY}"]
    with worlds.only_publishing(), pytest.raises(SystemExit, match="4"):
        cli.main(arguments)
    printed = capfd.readouterr()
    assert "expect_column_values_to_match_regex on tenant_key" in printed.err

    (tmp_path / "printed").write_text(printed.out + printed.err)
    failing: set[Canary] = set(bundle_keys(planted.workspace))
    found = leaks(failing | planted.canaries | planted.secrets, places(tmp_path, bundle_keys(planted.workspace)))
    assert {leak.file.parts[0] for leak in found if leak.canary in failing} == {"workspace"}
    assert not {leak for leak in found if leak.canary not in failing and is_public(leak.file)}
    assert not {leak for leak in found if leak.canary in planted.secrets}


def test_an_unexpected_error_prints_no_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("could not convert 'ada@leak.example'")

    monkeypatch.setattr(nightly, "run", fail)
    printed = worlds.quorum(Workspace(tmp_path), "run")
    assert printed.exit_code == 70
    assert "ada@leak.example" not in printed.output


@pytest.mark.parametrize("command", ["status", "ledger", "plan", "keys", "verify"])
def test_no_command_prints_a_canary(planted: Planted, nights: dict[str, Night], command: str, tmp_path: Path) -> None:
    printed = worlds.quorum(planted.workspace, command, "--json")
    assert printed.exit_code == 0
    (tmp_path / "printed").write_text(printed.output)
    assert not leaks(planted.canaries | planted.secrets, places(tmp_path))
