"""Nights over real events that nobody here made up (see the data's own README), where they are to be had."""

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from quorum import nightly, publish
from quorum.keyring import Keyring
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.leaks import Place, leaks, places

pytestmark = pytest.mark.skipif(not worlds.SHARED_DATA.is_dir(), reason="the real inputs are not on this machine")

EMAIL = re.compile(rb"[\w.+-]+@\w[\w-]*\.\w+")
IPV4 = re.compile(rb"\b(?:\d{1,3}\.){3}\d{1,3}\b")


@dataclass(frozen=True)
class Input:
    """Real events, and what their README says of them."""

    name: str
    as_of: date
    rows: int
    tenants: int
    bundles: int


INPUTS = (
    Input("wikimedia", date(2015, 9, 12), rows=39_244, tenants=51, bundles=51),
    Input("github", date(2015, 2, 22), rows=54_235, tenants=17_993, bundles=400),
    Input("github_payloads", date(2021, 7, 21), rows=800, tenants=589, bundles=0),
)


@dataclass(frozen=True)
class RealNight:
    given: Input
    workspace: Workspace
    report: nightly.Report

    @property
    def release(self) -> Path:
        folder = publish.current(self.workspace)
        assert folder is not None
        return folder

    def raw(self) -> bytes:
        [file] = [gzip.decompress(path.read_bytes()) for path in self.workspace.landing.rglob("*.gz")]
        return file

    def readable(self) -> list[Place]:
        """Return all that can be read outside the restricted plane: files, and the rows of relations as text.

        A bundle holds rows of mart_tenant_daily, which is among them.
        """
        return [*places(self.workspace.warehouse), *places(self.release / "cross_tenant")]


@pytest.fixture(scope="module", params=INPUTS, ids=lambda given: given.name)
def night(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RealNight:
    given: Input = request.param
    workspace = worlds.real(given.name, tmp_path_factory.mktemp(given.name))
    return RealNight(given, workspace, worlds.run(workspace, given.as_of))


def people(rows: bytes) -> Iterator[str]:
    """Yield the names and addresses that stand in raw rows."""
    for line in rows.splitlines():
        row: dict[str, Any] = json.loads(line)
        yield row["user"] if "user" in row else row["actor"]["login"]
    yield from (email.decode() for email in EMAIL.findall(rows))


def test_every_row_is_accounted_for(night: RealNight) -> None:
    rows = night.report.rows
    assert rows["read"] == night.given.rows
    assert rows["accepted"] + rows["duplicate"] + rows["quarantined"] == night.given.rows
    assert night.report.tenants == night.given.tenants
    assert len(list((night.release / "tenants").glob("*"))) == night.given.bundles
    print(rows, night.report.reasons, night.report.statuses)


def test_nobody_can_be_read(night: RealNight) -> None:
    raw, readable = night.raw(), night.readable()
    names = {name for name in people(raw) if len(name) >= 8}  # shorter ones would be found by chance
    print(len(names), len(readable))
    assert {leak.canary for leak in leaks(names, [Place(Path(), "raw", raw)])} == names, "the search finds them"
    print( leaks(names, readable))
    cells = {cell.decode() for place in readable for cell in re.split(rb"[\t\n]", place.content) if place.part != "its bytes"}
    print(cells & set(people(raw)))
    rows = [place for place in readable if place.part != "its bytes"]
    print( [place for place in rows if IPV4.search(place.content) or EMAIL.search(place.content)])

def test_sessions_of_edits(night: RealNight) -> None:
    if night.given.name != "wikimedia":
        pytest.skip("a figure of the edits")
    assert worlds.fetch(night.workspace, "tenant", "select count(*) from fct_sessions") == [(16_293,)]


def test_channels_that_have_not_consented_are_in_no_cohort(night: RealNight) -> None:
    if night.given.name != "wikimedia":
        pytest.skip("a figure of the edits")
    keys = Keyring.open(night.workspace.keyring).tenants()
    members = {key for (key,) in worlds.fetch(night.workspace, "cross_tenant", "select tenant_key from cohort_tenants")}
    assert {channel for channel, each in keys.items() if each.tenant_key not in members} == {
        f"#{language}.wikipedia" for language in ("uz", "fi", "hi")
    }
