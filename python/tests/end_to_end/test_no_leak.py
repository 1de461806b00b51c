"""What was planted in the raw rows stays in the restricted plane, after nights that end well and nights that fail."""

import base64
import csv
import hashlib
import ipaddress
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest
from click.testing import CliRunner

from quorum import cli, expectations, settings
from quorum.encryption import load_encryption
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.canaries import LISTED, Planter, bundle_keys, canaries, plant_everywhere, secrets
from tests.end_to_end.leaks import Canary, Leak, leaks, places

PROJECT = settings.project_directory()
RESTRICTED = {"landing", "restricted", "keyring", "registry", "truth"}


@dataclass(frozen=True)
class Night:
    """How a command ended, and which canaries and keys stood where after it."""

    exit_code: int
    stderr: str
    found: set[Leak]


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
        outside = self.root / name
        for folder in ("home", "tmp", "cwd"):
            (outside / folder).mkdir(parents=True)
        environment |= {"HOME": f"{outside}/home", "TMPDIR": f"{outside}/tmp"}
        environment |= {"QUORUM_WORKSPACE": str(self.workspace.root)}
        with (outside / "stdout").open("wb") as stdout, (outside / "stderr").open("wb") as stderr:
            ended = subprocess.run(
                [Path(sys.executable).with_name(command[0]), *command[1:]],
                cwd=outside / "cwd",
                env=os.environ | environment,
                stdout=stdout,
                stderr=stderr,
                check=False,
            )
        found = leaks(self.canaries | self.secrets, places(self.root, bundle_keys(self.workspace)))
        return Night(ended.returncode, (outside / "stderr").read_text(), found)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    root = tmp_path_factory.mktemp("planted")
    workspace = worlds.simulated(root / "workspace", days=7)
    worlds.run(workspace)
    planted = Planted(root, Planter(), Planter(first=3000))
    plant_everywhere(workspace, planted.plant, planted.unread)
    (workspace.landing / "quorum" / "near_words.jsonl").write_text("\n".join(near_words()))
    return planted


@pytest.fixture(scope="module")
def nights(planted: Planted) -> dict[str, Night]:
    """A night that fails while raw rows are in the batch, a build by hand over them, and a night that ends well."""
    by_hand = planted.root / "build by hand"
    as_of = f"--as-of={worlds.LAST_DAY}"
    return {
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


NIGHTS = ("failed run", "build by hand", "good run")


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
    (copy / "tests/singular/no_user.sql").write_text(
        "{{ config(group='restricted') }} select payload from {{ ref('int_quarantine') }}"
    )
    return copy


def near_words() -> list[str]:
    """Return rows of listed words, words that are nearly those, and addresses, well formed and not."""
    rng = random.Random(7)
    seeds = [row["word"] for row in seed("reference/vocabulary")] + [
        row["raw_feature"] for row in seed("reference/feature_catalog")
    ]
    near = [rng.choice([word.swapcase(), f"{word}\u200b", f"{word}s", f"{word}\n", f"x{word}"]) for word in seeds]
    odd = ["", " ", "null", "true", "42", "1234567", "-1e3", "DE", "de", "D\u0415", '"', "'", "\\", "{}", ":id", "%2F"]
    words = [*seeds * 3, *near, *odd]
    return [
        json.dumps(
            {
                "tenant_id": LISTED,
                "event_id": f"near {number}",
                "user_id": "near",
                "occurred_at": "2026-03-28T11:00:00Z",
                **{name: rng.choice(words) for name in ("event_name", "feature", "platform", "country")},
                "url": "/".join(rng.choices([*words, "?", "#", "https:"], k=6)),
                "ip": rng.choice(ADDRESSES),
                **{name: rng.choice(words) for name in ("referrer", "user_agent")},
                "properties": {rng.choice(["plan", "is_trial", "items", "x"]): rng.choice(words) for _ in range(3)},
            }
        )
        for number in range(1500)
    ]


ADDRESSES = (
    *("203.0.113.9", "198.51.100.200", "0.0.0.0", "255.255.255.255", "2001:db8:1:2::9", "2001:DB8:0:1:1:1:1:1"),  # noqa: S104
    *("::1", "::", "fe80::1", "2001:db8::", "::ffff:203.0.113.9", "2001:db8:1::203.0.113.9", "fe80::1%eth0"),
    # telephone numbers, hardware addresses and the like, in the shape of addresses
    *("491.512.345.678", "491512345678", "4915:1234:5678:90", "4915:1234:5678::1::2", "1:2:3:4:5:6:7:8:9"),
    *("00:1a:2b:3c:4d:5e", "203.0.113.9:443", "203.0.113.9, 10.0.0.1", "203.0.113", "1:2:3:", "1:2:3::::", "ada"),
)


def seed(name: str) -> list[dict[str, str]]:
    with (PROJECT / "seeds" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def listed(field: str) -> set[str]:
    return {row["word"] for row in seed("reference/vocabulary") if row["field"] == field}


def is_public(file: Path) -> bool:
    return not (file.parts[0] == "workspace" and file.parts[1] in RESTRICTED)


@pytest.mark.parametrize("name", NIGHTS)
def test_no_canary_leaves_the_restricted_plane(planted: Planted, nights: dict[str, Night], name: str) -> None:
    found = {leak for leak in nights[name].found if is_public(leak.file)}
    assert not {leak for leak in found if leak.canary in planted.canaries}


@pytest.mark.parametrize("name", NIGHTS)
def test_no_key_leaves_the_keyring(planted: Planted, nights: dict[str, Night], name: str) -> None:
    found = {leak for leak in nights[name].found if leak.canary in planted.secrets}
    assert not {leak for leak in found if not leak.file.is_relative_to("workspace/keyring")}


@pytest.mark.parametrize("name", NIGHTS)
def test_every_canary_is_there_to_be_found(planted: Planted, nights: dict[str, Night], name: str) -> None:
    in_rows = {leak.canary for leak in nights[name].found if leak.file.name == "restricted.duckdb"}
    assert set(planted.plant.planted) <= in_rows


def test_nights_end_as_they_should(nights: dict[str, Night]) -> None:
    assert nights["failed run"].exit_code == 1
    assert "no_user, users_as_numbers" in nights["failed run"].stderr
    assert nights["build by hand"].exit_code == 0
    assert nights["good run"].exit_code == 2  # three files could not be taken
    assert "cut short" in nights["good run"].stderr
