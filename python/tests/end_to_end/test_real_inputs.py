"""Nights over real events that nobody here made up (see the data's own README), where they are to be had."""

import csv
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
from tests.end_to_end.leaks import CATALOGS, Place, leaks, places

pytestmark = pytest.mark.skipif(not worlds.SHARED_DATA.is_dir(), reason="the real inputs are not on this machine")

EMAIL = re.compile(rb"[\w.+-]+@\w[\w-]*\.\w+")
NO_ROWS = {*CATALOGS, "metric_catalog", "its bytes", "parquet_schema", "parquet_kv_metadata"}
IPV4 = re.compile(rb"\b(?:\d{1,3}\.){3}\d{1,3}\b")


@dataclass(frozen=True)
class Input:
    """Real events, and what their README says of them."""

    name: str
    as_of: date
    rows: int
    tenants: int
    bundles: int
    sessions: int | None = None
    refusing: tuple[str, ...] = ()


INPUTS = (
    Input(
        *("wikimedia", date(2015, 9, 12)),
        rows=39_244,
        tenants=51,
        bundles=51,
        sessions=16_293,
        refusing=("#uz.wikipedia", "#fi.wikipedia", "#hi.wikipedia"),
    ),
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
        return b"".join(gzip.decompress(path.read_bytes()) for path in self.workspace.landing.rglob("*.gz"))

    def rows(self) -> list[Place]:
        """Return the rows, as text, of all relations outside the restricted plane.

        A bundle holds rows of mart_tenant_daily, which is among them. DuckDB compresses text, so bytes prove nothing.
        """
        found = [*places(self.workspace.warehouse), *places(self.release / "cross_tenant")]
        return [place for place in found if place.part not in NO_ROWS]


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
    """All of them are sound, and no event is among them twice."""
    rows = {"read": night.given.rows, "accepted": night.given.rows, "duplicate": 0, "quarantined": 0}
    files = {"files": len(list(night.workspace.landing.rglob("*.gz"))), "unchecked_files": 0}
    assert night.report.rows == {**files, **rows, "deferred": 0}
    assert night.report.tenants == night.given.tenants
    assert len(list((night.release / "tenants").glob("*"))) == night.given.bundles


def test_nobody_can_be_read(night: RealNight) -> None:
    raw, rows = night.raw(), night.rows()
    everybody = set(people(raw))
    long = {name for name in everybody if len(name) >= 8}  # what is shorter stands in other words by chance
    assert {leak.canary for leak in leaks(long, [Place(Path(), "raw", raw)])} == long, "they are there to be found"
    assert not leaks(long, rows)
    cells = {cell.decode() for place in rows for cell in re.split(rb"[\t\n]", place.content)}
    assert not {cell for cell in cells & everybody if len(cell) >= 6}
    assert not [place for place in rows if IPV4.search(place.content)]


def test_sessions_are_cut_after_half_an_hour(night: RealNight) -> None:
    if night.given.sessions is None:
        pytest.skip("nobody has counted them")
    assert worlds.fetch(night.workspace, "tenant", "select count(*) from fct_sessions") == [(night.given.sessions,)]


def test_only_who_consents_is_in_a_cohort(night: RealNight) -> None:
    """A tenant on no list does as the default does."""
    with (night.workspace.registry / "tenants.csv").open(newline="") as file:
        consents = {row["tenant_id"]: row["benchmark_consent"] == "true" for row in csv.DictReader(file)}
    keys = Keyring.open(night.workspace.keyring).tenants()
    members = {key for (key,) in worlds.fetch(night.workspace, "cross_tenant", "select tenant_key from cohort_tenants")}
    left_out = {tenant for tenant, each in keys.items() if each.tenant_key not in members}
    assert left_out == {tenant for tenant in keys if not consents.get(tenant, consents.get("*"))}
    assert left_out == set(night.given.refusing)
