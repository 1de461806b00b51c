"""Rows that are read again: by hand, because a file was written anew, or because what stood against them has passed."""

import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from quorum import nightly, runner
from quorum.errors import BadInput
from quorum.ledger import Ledger
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night
from tests.end_to_end.histories import START, event, registered
from tests.end_to_end.test_nightly import endings, relations, total

DAY = timedelta(days=1)
NOON = START.replace(hour=12)
MART = ["mart_tenant_daily"]


def day_of(workspace: Workspace, tenant: str = "acme") -> list[tuple[Any, ...]]:
    query = "select tenant_key, activity_date, events, sessions from mart_tenant_daily where events > 0 order by all"
    return [(str(day), *counts) for day, *counts in worlds.rows_by_tenant(workspace, query).get(tenant, [])]


def backfill(workspace: Workspace, first: str, last: str, *, problem: str = "") -> dict[str, Any]:
    with worlds.untested():
        done = worlds.quorum(
            workspace, "backfill", "--json", "--from", first, "--to", last, "--as-of", str(worlds.LAST_DAY)
        )
    assert done.exit_code == (2 if problem else 0), done.output
    assert problem in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("missing", [True, pytest.param(False, marks=pytest.mark.soak)])
def test_reading_a_range_again_changes_nothing(missing: bool, simulated_night: Night, tmp_path: Path) -> None:
    """What is not there any more stays as it was read."""
    workspace = worlds.copied(simulated_night.workspace, tmp_path / "workspace")
    if missing:
        (workspace.landing / "quorum" / "2026-03-12.jsonl.gz").unlink()
    before = worlds.file_hashes(workspace.published), Ledger.open(workspace.ledger_url).charges()
    found = backfill(workspace, "2026-03-10", "2026-03-14", problem="is not there as it was read" if missing else "")
    assert relations(workspace) == relations(simulated_night.workspace)
    assert endings(workspace) == endings(simulated_night.workspace)
    assert found["published"] is None
    assert not found["releases"]
    assert before == (worlds.file_hashes(workspace.published), Ledger.open(workspace.ledger_url).charges())
    assert worlds.fetch(workspace, "restricted", "from landing_rows") == []


@pytest.mark.soak
def test_a_range_is_rebuilt_by_the_registry_of_today(simulated_night: Night, tmp_path: Path) -> None:
    """A tenant that is not registered any more leaves the days that are read again, and no others."""
    workspace = worlds.copied(simulated_night.workspace, tmp_path / "workspace")
    worlds.unregister(workspace, "globex-002")
    query = "select tenant_key, cast(occurred_at as date), count(*) from int_events group by all order by all"
    days = worlds.rows_by_tenant(workspace, query)
    backfill(workspace, "2026-03-10", "2026-03-14")
    left = worlds.rows_by_tenant(workspace, query)
    before, after = (dict(found.pop("globex-002")) for found in (days, left))
    assert left == days
    gone = before.keys() - after.keys()
    assert gone >= {date(2026, 3, day) for day in range(10, 15) if date(2026, 3, day) in before}
    assert all(count <= before[day] for day, count in after.items()), "files are read again whole"


def test_a_range_that_ends_before_it_begins_is_refused(tmp_path: Path) -> None:
    workspace = worlds.registered(tmp_path, [registered("acme")])
    done = worlds.quorum(workspace, "backfill", "--from", "2026-03-12", "--to", "2026-03-11")
    assert done.exit_code == 2
    assert done.stderr == "quorum: --from 2026-03-12 is after --to 2026-03-11\n"


def test_a_row_waits_for_its_tenant_and_for_its_day(tmp_path: Path) -> None:
    workspace = worlds.registered(tmp_path, [registered("acme")])
    ahead = worlds.noon(worlds.LAST_DAY + 5 * DAY)
    in_2099 = worlds.noon(worlds.LAST_DAY.replace(year=2099))
    worlds.land(
        workspace,
        "1.jsonl",
        [
            event("acme", "u", "now", worlds.noon(worlds.LAST_DAY)),
            event("acme", "u", "ahead", ahead),
            event("acme", "u", "never", in_2099),
            event("globex", "u", "unlisted", worlds.noon(worlds.LAST_DAY)),
        ],
    )
    first = worlds.ingest(workspace)
    assert first.reasons == {"future_timestamp": 2, "unknown_tenant": 1}
    worlds.registered(tmp_path, [registered("acme"), registered("globex")])
    second = worlds.ingest(workspace)
    assert second.reasons == {"future_timestamp": 2}
    assert (second.rows["accepted"], second.rows["quarantined"]) == (2, 2)
    third = worlds.build(workspace, worlds.LAST_DAY + 4 * DAY, only=MART)
    assert third.reasons == {"future_timestamp": 1}
    assert day_of(workspace, "globex") == [(str(worlds.LAST_DAY), 1, 1)]
    assert [row[0] for row in day_of(workspace)] == [str(worlds.LAST_DAY), str(ahead.date())]
    assert third.rows == {
        "files": 1,
        "unchecked_files": 1,
        "read": 4,
        "accepted": 3,
        "duplicate": 0,
        "deferred": 0,
        "quarantined": 1,
    }


class TestRewriting:
    """Files of a format that is written anew, GA4's daily tables: the newest content counts."""

    @staticmethod
    def row(user: str, second: int, **more: Any) -> dict[str, Any]:
        instant = int((NOON + timedelta(seconds=second)).timestamp() * 1_000_000)
        return {"user_pseudo_id": user, "event_name": "page_view", "event_timestamp": str(instant)} | more

    @pytest.fixture
    def workspace(self, tmp_path: Path) -> Workspace:
        return worlds.registered(tmp_path, [registered("acme"), registered("globex")])

    def land(self, workspace: Workspace, name: str, *rows: dict[str, Any], tenant: str = "acme") -> Path:
        return worlds.land(workspace, f"tenant={tenant}/{name}.jsonl", rows, "ga4")

    def test_the_newest_content_replaces_what_the_file_brought(self, workspace: Workspace) -> None:
        a, b, c = self.row("u", 0), self.row("u", 7200), self.row("v", 20)
        # the intraday table brings what the day's table will bring, and one event that it will not
        self.land(workspace, "events_intraday", a, self.row("w", 30))
        self.land(workspace, "events", a, b)
        # two names of one content: while one of them has it, it stays
        path = self.land(workspace, "events", self.row("x", 0), tenant="globex")
        shutil.copyfile(path, path.with_name("copy.jsonl"))
        assert worlds.build(workspace, only=MART).rows["duplicate"] == 1
        assert day_of(workspace) == [("2024-03-01", 3, 3)]
        assert day_of(workspace, "globex") == [("2024-03-01", 1, 1)]
        self.land(workspace, "events", b | {"event_params": [{"key": "x"}]}, c)
        self.land(workspace, "events", self.row("x", 60), tenant="globex")
        report = worlds.build(workspace, only=MART)
        # `a` is what the intraday table brought, and no duplicate any more
        assert report.rows == {
            "files": 4, "unchecked_files": 4, "read": 6, "accepted": 6, "duplicate": 0, "deferred": 0, "quarantined": 0,
        }  # fmt: skip
        assert day_of(workspace) == [("2024-03-01", 4, 4)]
        assert day_of(workspace, "globex") == [("2024-03-01", 2, 1)]
        states = "select state, count(*) from landing_files group by all order by all"
        assert worlds.fetch(workspace, "restricted", states) == [("gone", 1), ("read", 4)]

    @pytest.mark.soak
    def test_and_gives_way_to_the_old_one_again(self, workspace: Workspace) -> None:
        path = self.land(workspace, "events", self.row("u", 0))
        first = path.read_bytes()
        worlds.build(workspace)
        self.land(workspace, "events", self.row("u", 60), self.row("u", 86400))
        worlds.build(workspace)
        assert day_of(workspace) == [("2024-03-01", 1, 1), ("2024-03-02", 1, 1)]
        path.write_bytes(first)
        worlds.build(workspace)
        assert day_of(workspace) == [("2024-03-01", 1, 1)]
        assert total(endings(workspace)) == {"accepted": 1}

    @pytest.mark.soak
    def test_a_night_killed_amid_it_is_made_good(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        a, b = self.row("u", 0), self.row("u", 7200)
        self.land(workspace, "events_intraday", a)
        self.land(workspace, "events", a, b)
        worlds.build(workspace)
        self.land(workspace, "events", b)
        build = runner.Dbt.build
        for stage in ("redacted", "tenant"):

            def dies(dbt: runner.Dbt, name: str, target: str, stage: str = stage) -> None:
                build(dbt, name, target)
                if name == stage:
                    raise KeyboardInterrupt

            with monkeypatch.context() as planted:
                planted.setattr(runner.Dbt, "build", dies)
                with pytest.raises(KeyboardInterrupt):
                    worlds.build(workspace)
        report = worlds.build(workspace)
        assert (report.rows["accepted"], report.rows["duplicate"]) == (2, 0)
        assert day_of(workspace) == [("2024-03-01", 2, 2)]

    def test_whatever_follows_a_night_that_died_after_a_file_was_withdrawn(
        self, workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """The next night, a backfill and an erasure take away what the file brought, and what it had beaten comes."""
        one, two, three = (self.row("u", second) for second in (0, 7200, 14400))
        self.land(workspace, "a", *(row | {"geo": {"country": "DE"}} for row in (one, two)))  # so that these win
        self.land(workspace, "b", one)
        self.land(workspace, "c", two)
        self.land(workspace, "a", one, tenant="borealis")
        self.land(workspace, "a", one, tenant="globex")
        first = worlds.ingest(workspace)
        assert first.reasons == {"unknown_tenant": 1}
        assert (first.rows["accepted"], first.rows["duplicate"]) == (3, 2)

        for tenant in ("acme", "borealis"):
            self.land(workspace, "a", three, tenant=tenant)
        (workspace.landing / "ga4" / "tenant=acme" / "c.jsonl").unlink()
        stray = workspace.landing / "stray"
        stray.mkdir()
        with pytest.raises(BadInput, match="no known format"):
            worlds.ingest(workspace)
        stray.rmdir()
        worlds.registered(workspace.root, [registered(tenant) for tenant in ("acme", "borealis", "globex")])

        root = tmp_path_factory.mktemp("after")
        after = {name: worlds.copied(workspace, root / name) for name in ("night", "backfill", "erase")}
        said: list[str] = []
        next_night = worlds.begun(after["night"], worlds.LAST_DAY)
        with worlds.untested():
            days = (worlds.LAST_DAY, worlds.LAST_DAY)
            backfill = nightly._Night(after["backfill"], worlds.LAST_DAY, worlds.silent, days)
            backfill.ingest()
            with nightly.between_nights(after["erase"], worlds.LAST_DAY, said.append):
                pass
        events = "select tenant_key, occurred_at, country from int_events order by all"
        then, later = (NOON.replace(tzinfo=None) + timedelta(seconds=second) for second in (0, 14400))
        expected = {"acme": [(then, None), (later, None)], "borealis": [(later, None)], "globex": [(then, None)]}
        found = {name: worlds.rows_by_tenant(each, events) for name, each in after.items()}
        assert found == dict.fromkeys(after, expected)

        told = "is not there as it was read: its rows stay as they are"
        for night in (next_night, backfill):
            assert [problem.what for problem in night.report.problems] == [told]
        assert any(told in line and "/c" not in line for line in said)
