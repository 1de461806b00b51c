"""What a night takes in, where each row of it ends, and what the tenants' marts hold after it."""

import csv
import gzip
import json
import random
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import astuple
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from quorum import landing_queue, raw_rows
from quorum.audit import KINDS, AuditLog
from quorum.keyring import Keyring
from quorum.ledger import Ledger
from quorum.runner import Dbt
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night, land_in_batches
from tests.end_to_end.histories import AHEAD, START, History, event, histories, registered
from tests.end_to_end.oracle import Oracle

DAILY = "select * from mart_tenant_daily order by all"
# Of equal rows one stays, and the hash of its file is a matter of who else is in it.
EVENTS = "select * exclude (landing_file, landing_row) from int_events order by all"
RELATIONS = {
    "int_events": EVENTS,
    **{
        relation: f"select * from {relation} order by all"
        for relation in (
            *("dim_identities", "fct_events", "fct_sessions", "fct_person_days", "fct_account_days"),
            *("mart_tenant_daily", "mart_tenant_accounts", "mart_tenant_skew"),
        )
    },
}
HALF = ("+fct_sessions,path:models/tenant", "int_listed_units")  # of the tenant plane
ENDINGS = """
select path, reason, count(*)
from (
    select landing_file, reason from int_quarantine
    union all
    select landing_file, 'duplicate' from int_duplicates
) as refused
inner join landing_files using (landing_file)
group by path, reason
"""


def relations(workspace: Workspace) -> dict[str, dict[str, list[tuple[Any, ...]]]]:
    """Return the tenant plane: rows by relation and tenant."""
    return {name: worlds.rows_by_tenant(workspace, query) for name, query in RELATIONS.items()}


def endings(workspace: Workspace) -> dict[str, Counter[str]]:
    """Return how many rows of each file ended where. What was accepted stands in another plane."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for path, ending, count in worlds.fetch(workspace, "restricted", ENDINGS):
        found[path][ending] = count
    paths = dict(worlds.fetch(workspace, "restricted", "select landing_file, path from landing_files"))
    accepted = worlds.fetch(workspace, "tenant", "select landing_file, count(*) from int_events group by landing_file")
    for file, count in accepted:
        found[paths[file]]["accepted"] = count
    return dict(found)


def daily(workspace: Workspace) -> dict[str, list[tuple[Any, ...]]]:
    """Return what the mart should hold, by tenant."""
    expected = Oracle(workspace.root, worlds.LAST_DAY).daily()
    return {tenant: [astuple(day) for day in days] for tenant, days in expected.items()}


def total(counts: dict[str, Counter[str]]) -> Counter[str]:
    return sum(counts.values(), Counter())


class TestOneNight:
    def test_every_row_ends_where_it_should(self, simulated_night: Night) -> None:
        workspace, report = simulated_night.workspace, simulated_night.report
        truth = json.loads((workspace.root / "truth" / "rows.json").read_text())
        assert truth["duplicates"] > 0
        assert all(truth["broken"].values())
        found = total(endings(workspace))
        assert found == {"accepted": truth["accepted"], "duplicate": truth["duplicates"], **truth["broken"]}
        assert found.total() == truth["rows"] == report.rows["read"]
        assert report.reasons == truth["broken"]
        assert report.tenants == truth["tenants"]

    @pytest.mark.parametrize("night", ["simulated_night", "in_batches", "at_once"])
    def test_the_rows_of_each_file_add_up(self, night: str, request: pytest.FixtureRequest) -> None:
        workspace = request.getfixturevalue(night).workspace
        oracle = Oracle(workspace.root, worlds.LAST_DAY)
        found = endings(workspace)
        assert total(found)["duplicate"] == oracle.duplicates > 0
        for counts in found.values():  # which of two equal rows is the copy, the oracle does not say
            counts["taken"] = counts.pop("accepted", 0) + counts.pop("duplicate", 0)
        assert found == oracle.endings

    def test_daily_users_and_events_are_the_simulators(self, simulated_night: Night) -> None:
        with (simulated_night.workspace.root / "truth" / "tenant_daily.csv").open() as file:
            truth = {
                (row["tenant_id"], row["local_date"]): tuple(
                    int(row[name]) for name in ("active_users", "events", "excluded_events")
                )
                for row in csv.DictReader(file)
            }
        query = """
            select tenant_key, activity_date, daily_active_users, events, excluded_events
            from mart_tenant_daily where events + excluded_events > 0
        """
        found = worlds.rows_by_tenant(simulated_night.workspace, query)
        assert {(tenant, str(day)): tuple(n) for tenant, rows in found.items() for day, *n in rows} == truth

    @pytest.mark.parametrize("night", ["simulated_night", "in_batches", "at_once"])
    def test_the_mart_is_what_the_raw_rows_say(self, night: str, request: pytest.FixtureRequest) -> None:
        workspace = request.getfixturevalue(night).workspace
        assert worlds.rows_by_tenant(workspace, DAILY) == daily(workspace)

    def test_a_future_event_keeps_nothing_out(self, in_batches: Night, tenants: list[History]) -> None:
        """It lands in the first night, so a watermark made of it would stand against all that comes later."""
        counts = {tenant: len(rows) for tenant, rows in worlds.rows_by_tenant(in_batches.workspace, EVENTS).items()}
        sent = {tenant.tenant: tenant.accepted() for tenant in tenants}
        assert counts == sent | {AHEAD: sent[AHEAD] - 1}
        assert in_batches.report.reasons == {"future_timestamp": 1}


class TestIncrements:
    def test_batches_give_what_one_night_gives(self, in_batches: Night, at_once: Night) -> None:
        assert relations(in_batches.workspace) == relations(at_once.workspace)
        assert endings(in_batches.workspace) == endings(at_once.workspace)

    @pytest.mark.soak
    @pytest.mark.parametrize("seed", range(1, 20))
    def test_any_split_of_the_rows_does_too(
        self, seed: int, at_once: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Rows in any order in other files, files in any order over nights that have several batches each."""
        monkeypatch.setenv("QUORUM_BATCH_ROWS", "400")
        dice = random.Random(seed)
        workspace = worlds.sibling(at_once.workspace, tmp_path, keep=lambda _file: False)
        lines = [line for file in (at_once.workspace.landing / "quorum").iterdir() for line in file.open()]
        dice.shuffle(lines)
        while lines:
            night = [lines.pop() for _ in range(min(len(lines), dice.randrange(400, 1200)))]
            for number in range(1, 4):
                worlds.land(
                    workspace, f"{len(lines)}-{number}.jsonl", (line.strip() for line in night[number - 1 :: 3])
                )
            report = worlds.build(workspace, tested=not lines)
        assert relations(workspace) == relations(at_once.workspace)
        assert total(endings(workspace)) == total(endings(at_once.workspace))
        assert report.rows["deferred"] == 0

    @pytest.mark.soak
    @pytest.mark.parametrize("seed", range(2, 10))
    def test_other_batches_do_too(self, seed: int, tmp_path: Path) -> None:
        batches = land_in_batches(histories(seed), tmp_path / "in_batches")
        once = worlds.sibling(batches.workspace, tmp_path / "at_once")
        worlds.build(once)
        assert relations(batches.workspace) == relations(once)
        assert worlds.rows_by_tenant(once, DAILY) == daily(once)

    @pytest.mark.soak
    @pytest.mark.parametrize("shuffle", range(1, 10))
    def test_files_in_any_order_give_what_one_night_gives(
        self, shuffle: int, simulated_night: Night, tmp_path: Path
    ) -> None:
        dice = random.Random(shuffle)
        files = list((simulated_night.workspace.landing / "quorum").iterdir())
        dice.shuffle(files)
        workspace = worlds.sibling(simulated_night.workspace, tmp_path, keep=lambda _file: False)
        (workspace.landing / "quorum").mkdir()
        for batch in range(3):
            for file in files[batch::3]:
                shutil.copy2(file, workspace.landing / "quorum")
            worlds.build(workspace)
        assert relations(workspace) == relations(simulated_night.workspace)
        assert total(endings(workspace)) == total(endings(simulated_night.workspace))

    def test_a_night_killed_anywhere_is_made_good(
        self, at_once: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first dies before its files are committed, the second amid the build, with both batches open."""
        workspace = worlds.sibling(at_once.workspace, tmp_path, keep=lambda file: file.name == "0.jsonl")

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        def die_amid(dbt: Dbt, stage: str, target: str) -> None:
            if stage == "tenant":
                dbt._invoke("build", ["--select", *HALF, "--target", target])
                die()
            build(dbt, stage, target)

        build = Dbt.build
        for batch, (place, name, death) in enumerate(
            [(landing_queue, "commit", die), (Dbt, "build", die_amid)], start=1
        ):
            with monkeypatch.context() as planted:
                planted.setattr(place, name, death)
                with pytest.raises(KeyboardInterrupt):
                    worlds.build(workspace)
            shutil.copy2(at_once.workspace.landing / "quorum" / f"{batch}.jsonl", workspace.landing / "quorum")
        report = worlds.build(workspace, only=[*RELATIONS])
        assert relations(workspace) == relations(at_once.workspace)
        assert report.rows == at_once.report.rows
        assert endings(workspace) == endings(at_once.workspace)


class TestNothingNew:
    def test_the_same_night_again_changes_no_byte(self, simulated_night: Night, tmp_path: Path) -> None:
        """But for the two chains, which say that it was."""
        workspace = worlds.copied(simulated_night.workspace, tmp_path / "again")
        before = {part: worlds.file_hashes(workspace.root / part) for part in ("published", "keyring")}
        ledger = Ledger.open(workspace.ledger_url)
        entries = ledger.entries()
        report = worlds.run(workspace)
        *same, last = ledger.entries()
        assert (same, last.kind) == (entries, "anchor")
        told = [entry.kind for entry in AuditLog(workspace).records()]
        assert told[told.index("anchor") + 1 :] == ["run_started", "run_ended", "anchor"]
        verified = worlds.quorum(workspace, "verify", "--head", simulated_night.report.head, "--json")
        assert json.loads(verified.stdout)["head"] == report.head != simulated_night.report.head
        assert report.published is None
        assert not report.outcomes
        assert before == {part: worlds.file_hashes(workspace.root / part) for part in before}

    def test_a_week_without_rows_changes_no_row(self, simulated_night: Night, tmp_path: Path) -> None:
        workspace = worlds.copied(simulated_night.workspace, tmp_path / "later")
        night = worlds.begun(workspace, worlds.LAST_DAY + timedelta(days=7))
        night.build()
        assert {due.start for due in night._due()} == {worlds.LAST_DAY + timedelta(days=1)}
        assert relations(workspace) == relations(simulated_night.workspace)


class TestAuditLog:
    def test_it_tells_the_night(self, simulated_night: Night) -> None:
        workspace = simulated_night.workspace
        entries = AuditLog(workspace).records()
        charges = ["charged"] * 4 * 5  # weeks and releases
        kinds = ["run_started", "policy_changed", "keys_created", *charges, "release_published", "run_ended"]
        assert [entry.kind for entry in entries] == [*kinds, "anchor"]
        assert all(set(entry.facts) == set(KINDS[entry.kind]) for entry in entries)
        facts = {entry.kind: entry.facts for entry in entries}
        keys = Keyring.open(workspace.keyring).tenants()
        assert facts["keys_created"]["tenant_keys"] == sorted(each.tenant_key for each in keys.values())
        assert (
            facts["run_ended"]["release"] == facts["release_published"]["release"] == simulated_night.report.published
        )
        assert not [tenant for tenant in keys if tenant in workspace.audit_log.read_text()]


END_OF_TIME = "294247-01-10T04:00:54Z"  # a day later there is no time that DuckDB could hold
NOON = START.replace(hour=12)


def sent_by(user: str | None, **given: Any) -> dict[str, Any]:
    return event("acme", user or "", user or "", NOON) | given


# A line of a file that names no tenant, and where it ends.
LINES: dict[str, tuple[dict[str, Any] | str, str | None]] = {
    "as it should be": (sent_by("a"), "accepted"),
    "the same again": (sent_by("a"), "duplicate"),
    "another user's event of that id": (sent_by("b", event_id="a"), "accepted"),
    "a tenant that only the default knows": (sent_by("c", tenant_id="nobody's"), "accepted"),
    "the default itself": (sent_by("d", tenant_id="*"), "unknown_tenant"),
    "no tenant": (sent_by("e", tenant_id=" "), "missing_tenant"),
    "nobody": (sent_by(None), "missing_identity"),
    "a device": (sent_by(None, anonymous_id="device", event_id="f"), "accepted"),
    "no event id": (sent_by("g", event_id=None), "accepted"),
    "only the collector's clock": (sent_by("h", occurred_at="soon"), "accepted"),
    "no clock": (sent_by("i", occurred_at="soon", received_at=None), "bad_timestamp"),
    "before all time": (sent_by("j", occurred_at="-infinity"), "bad_timestamp"),
    "after all time": (sent_by("k", occurred_at="infinity"), "future_timestamp"),
    "received at the end of time": (sent_by("l", received_at=END_OF_TIME), "accepted"),
    "happened at the end of time": (sent_by("m", occurred_at=END_OF_TIME), "future_timestamp"),
    "happened days after it was received": (sent_by("n", received_at="2024-01-01"), "future_timestamp"),
    "numbers beyond reason": (sent_by("o", duration_ms=10**400, value_minor=-1e308), "accepted"),
    "a NUL": (sent_by("p\0"), "accepted"),
    "half a character": (sent_by("\ud800"), "unparsable"),
    "things for words": (sent_by("q", event_id={"a": [1]}, feature=["search"], properties="{"), "accepted"),
    "deeper than any parser": ("[" * 100_000, "unparsable"),
    "half a row": ('{"tenant_id": "acme", ', "unparsable"),
    "no object": ('["acme"]', "unparsable"),
    "JSON's nothing": ("null", "unparsable"),
    "too long": (sent_by("r", url="x" * raw_rows.MAX_LINE_BYTES), "oversized"),
    "blank": ("  ", None),
}
FOLDER = [event("", "u", "no tenant", NOON), event("acme", "u", "acme", NOON), event("globex", "u", "globex", NOON)]


@pytest.fixture(scope="class")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A night over lines of every kind. Only acme lets its users count in benchmarks."""
    rows = [
        registered("acme"),
        registered("globex", benchmark_consent="false"),
        registered("*", benchmark_consent="false", publish_bundle="false"),
    ]
    workspace = worlds.registered(tmp_path_factory.mktemp("landed"), rows)
    worlds.land(workspace, "lines.jsonl", (row for row, _ in LINES.values()))
    for tenant in ("acme", "globex", "globex%2Finitech"):
        worlds.land(workspace, f"tenant={tenant}/same.jsonl", FOLDER)
    worlds.answer(workspace)
    return workspace


def lines(workspace: Workspace, path: str) -> dict[int, str]:
    """Return where each line of a file ended, in order."""
    file = worlds.fetch(workspace, "restricted", "select landing_file from landing_files where path = ?", [path])[0]
    accepted = "select landing_row, 'accepted' from int_events where landing_file = ?"
    refused = """
        select landing_row, reason from int_quarantine where landing_file = $1
        union all
        select landing_row, 'duplicate' from int_duplicates where landing_file = $1
    """
    rows = worlds.fetch(workspace, "tenant", accepted, file) + worlds.fetch(workspace, "restricted", refused, file)
    assert len(rows) == len(dict(rows)), "a row ends once"
    return dict(sorted(rows))


class TestLanding:
    def test_each_line_ends_where_it_should(self, landed: Workspace) -> None:
        found = lines(landed, "quorum/lines.jsonl")
        assert {name: found.get(number) for number, name in enumerate(LINES, start=1)} == {
            name: ending for name, (_, ending) in LINES.items()
        }

    def test_a_folder_says_whose_the_rows_are(self, landed: Workspace) -> None:
        """Each of the files holds the same bytes."""
        other = "tenant_mismatch"
        for tenant, expected in {
            "acme": ["accepted", "accepted", other],
            "globex": ["accepted", other, "accepted"],
            "globex%2Finitech": ["accepted", other, other],
        }.items():
            assert list(lines(landed, f"quorum/tenant={tenant}/same.jsonl").values()) == expected
        by_tenant = worlds.rows_by_tenant(landed, "select tenant_key, count(*) from int_events group by all")
        assert by_tenant["globex"] == [(2,)]
        assert by_tenant["globex/initech"] == by_tenant["nobody's"] == [(1,)]

    def test_who_has_not_consented_is_in_no_cohort(self, landed: Workspace) -> None:
        members = worlds.fetch(landed, "cross_tenant", "select distinct tenant_key from cohort_tenants")
        keys = Keyring.open(landed.keyring).tenants()
        assert members == [(keys["acme"].tenant_key,)]
        assert keys.keys() > {"acme", "globex", "nobody's", "*"}

    def test_a_file_is_taken_once_and_as_it_was(self, landed: Workspace, tmp_path: Path) -> None:
        workspace = worlds.copied(landed, tmp_path / "changed")
        before = worlds.fetch(workspace, "tenant", EVENTS)
        known = workspace.landing / "quorum" / "lines.jsonl"
        shutil.copyfile(known, known.with_name("again.jsonl"))
        with known.open("a") as file:
            file.write(json.dumps(sent_by("new", event_id="appended")) + "\n")
        worlds.land(workspace, "new.jsonl", [sent_by("new")])
        night = worlds.ingest(workspace)
        assert night.rows["files"] == 4 + 1, "the same again is no file of its own"
        [problem] = night.problems
        assert "content changed" in str(problem)
        assert workspace.landing_problems.read_text().startswith("landing/quorum/lines.jsonl: refused")
        after = worlds.fetch(workspace, "tenant", EVENTS)
        assert len(set(after) - set(before)) == 1
        assert set(after) > set(before)


def changed_around(tenant: str, lines: list[str], others: list[str], dice: random.Random) -> Iterator[str]:
    """Yield the tenant's lines; drop, keep, repeat or alter those of others, and let them claim the tenant's own."""
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["tenant_id"] == tenant:
            yield line
            row |= {"tenant_id": dice.choice(others)} | dice.choice([{}, {"occurred_at": "2099-01-01T00:00:00Z"}])
            yield json.dumps(row)
        elif fate := dice.randrange(3):
            changes = {"event_name": "purchase", "feature": "search", "user_id": "somebody@example.com"}
            yield from [line, json.dumps(row | changes | {"event_id": f"new {line}"})][:fate]


@pytest.mark.parametrize("seed", [3, *(pytest.param(n, marks=pytest.mark.soak) for n in range(4, 203))])
def test_other_tenants_change_nothing(seed: int, simulated_night: Night, tmp_path: Path) -> None:
    tenant, *others = "globex-002", "acme-001", "initech-003", "umbra-004"  # the first shares people with the second
    dice = random.Random(seed)
    workspace = worlds.sibling(simulated_night.workspace, tmp_path, keep=lambda _file: False)
    for file in sorted((simulated_night.workspace.landing / "quorum").iterdir()):
        lines = gzip.decompress(file.read_bytes()).decode().splitlines()
        worlds.land(workspace, file.name.removesuffix(".gz"), changed_around(tenant, lines, others, dice))
    worlds.build(workspace, only=[*RELATIONS])
    before, after = relations(simulated_night.workspace), relations(workspace)
    for relation in RELATIONS:
        assert after[relation][tenant] == before[relation][tenant], relation
        assert all(after[relation][other] != before[relation][other] for other in others), relation
