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

from quorum import nightly, release_folders
from quorum.keyring import Keyring
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.leaks import CATALOGS, Place, leaks, places

pytestmark = pytest.mark.skipif(not worlds.SHARED_DATA.is_dir(), reason="the real inputs are not on this machine")

EMAIL = re.compile(rb"[\w.+-]+@\w[\w-]*\.\w+")
NO_ROWS = {*CATALOGS, "metric_catalog", "its bytes", "parquet_schema", "parquet_kv_metadata"}
PART_OF_A_DIGEST = re.compile("[0-9a-f]{,12}", re.IGNORECASE)
IPV4 = re.compile(rb"\b(?:\d{1,3}\.){3}\d{1,3}\b")


@dataclass(frozen=True)
class Input:
    """Real events, and what was counted in them without us.

    ``users`` are user names, ``in_several`` those of them that more than one tenant has; ``counts`` are planes,
    queries and what they find.
    """

    name: str
    as_of: date
    rows: int
    tenants: int
    bundles: int
    users: int
    in_several: int
    refusing: tuple[str, ...] = ()
    counts: tuple[tuple[str, str, int], ...] = ()


EVENT_NAMES = "select count(distinct event_name) from fct_events"
ADDRESSES = r"select count(*) from int_events_landed where regexp_full_match(user_id, '(\d{1,3}\.){3}\d{1,3}')"
OF_FIVE_OR_MORE = """
select count(*)
from (select tenant_key from fct_events group by tenant_key having count(distinct person_key) >= 5)
"""
INPUTS = (
    Input(
        *("wikimedia", date(2015, 9, 12)),
        rows=39_244,
        tenants=51,
        bundles=51,
        users=10_531,
        in_several=155,
        refusing=("#uz.wikipedia", "#fi.wikipedia", "#hi.wikipedia"),
        counts=(
            ("restricted", ADDRESSES, 3_800),
            ("tenant", "select count(*) from fct_events where properties ->> 'isAnonymous' = 'true'", 3_799),
            ("tenant", "select count(*) from fct_events where listed_as = 'bot'", 15_420),
            ("tenant", "select count(*) from fct_sessions", 16_293),  # after half an hour, robots included
        ),
    ),
    Input(
        *("github", date(2015, 2, 22)),
        rows=54_235,
        tenants=17_993,
        bundles=400,
        users=19_239,
        in_several=2_138,
        counts=(
            ("restricted", "select count(distinct event_id) from int_events_landed", 54_235),
            ("tenant", EVENT_NAMES, 14),
            ("tenant", OF_FIVE_OR_MORE, 187),
            # the busiest account, and nobody else, is a robot, though its name does not say so
            ("restricted", "select count(*) from int_events_landed group by user_id order by 1 desc limit 1", 5_132),
            ("tenant", "select events from fct_person_days where excluded_as = 'behaves_like_bot'", 5_132),
            ("tenant", "select excluded_events from mart_tenant_daily where excluded_events > 0", 5_132),
        ),
    ),
    Input(
        *("github_payloads", date(2021, 7, 21)),
        rows=800,
        tenants=589,
        bundles=0,
        users=573,
        in_several=5,
        counts=(("tenant", EVENT_NAMES, 15),),
    ),
)


@dataclass(frozen=True)
class RealNight:
    given: Input
    workspace: Workspace
    report: nightly.Report

    @property
    def release(self) -> Path:
        folder = release_folders.current(self.workspace)
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


# the least of them has a part of all that the others have; those take minutes
PARAMS = [
    pytest.param(given, marks=[pytest.mark.soak] * (given.name != "github_payloads"), id=given.name) for given in INPUTS
]


@pytest.fixture(scope="module", params=PARAMS)
def night(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RealNight:
    given: Input = request.param
    workspace = worlds.real(given.name, tmp_path_factory.mktemp(given.name))
    return RealNight(given, workspace, worlds.run(workspace, given.as_of, tested=True))


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
    # what is shorter stands in other words by chance, and in digests what looks like a part of one
    long = {name for name in everybody if len(name) >= 8 and not PART_OF_A_DIGEST.fullmatch(name)}
    assert {leak.canary for leak in leaks(long, [Place(Path(), "raw", raw)])} == long, "they are there to be found"
    assert not leaks(long, rows)
    cells = {cell.decode() for place in rows for cell in re.split(rb"[\t\n]", place.content)}
    assert not {cell for cell in cells & everybody if len(cell) >= 6}
    assert not [place for place in rows if IPV4.search(place.content)]


def test_its_counts_are_ours(night: RealNight) -> None:
    for plane, query, count in night.given.counts:
        assert worlds.fetch(night.workspace, plane, query) == [(count,)], query


def test_a_user_name_is_another_person_in_another_tenant(night: RealNight) -> None:
    """Persons do not tell which tenants have a name in common. These formats know no devices, so nothing is linked."""
    names = """
    select count(*), count(*) filter (tenants > 1), sum(tenants)
    from (select count(distinct tenant_id) as tenants from int_events_landed group by user_id)
    """
    [(users, in_several, persons)] = worlds.fetch(night.workspace, "restricted", names)
    assert (users, in_several) == (night.given.users, night.given.in_several)
    found = "select count(distinct person_key), count(distinct (tenant_key, person_key)) from fct_events"
    assert worlds.fetch(night.workspace, "tenant", found) == [(persons, persons)]
    assert worlds.fetch(night.workspace, "tenant", "from dim_identities") == []


def test_only_who_consents_is_in_a_cohort(night: RealNight) -> None:
    """A tenant on no list does as the default does."""
    with (night.workspace.registry / "tenants.csv").open(newline="") as file:
        consents = {row["tenant_id"]: row["benchmark_consent"] == "true" for row in csv.DictReader(file)}
    keys = Keyring.open(night.workspace.keyring).tenants()
    members = {key for (key,) in worlds.fetch(night.workspace, "cross_tenant", "select tenant_key from cohort_tenants")}
    left_out = {tenant for tenant, each in keys.items() if each.tenant_key not in members}
    assert left_out == {tenant for tenant in keys if not consents.get(tenant, consents.get("*"))}
    assert left_out == set(night.given.refusing)
