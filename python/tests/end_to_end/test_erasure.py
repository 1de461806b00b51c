"""Forgetting users: nothing of them is left, everything else is as if they had never been, and so it stays."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from quorum import checksums, compaction, erased_rows, erasure, forgetting, landing_queue, nightly, raw_rewriting
from quorum.hash_chain import ChainedLog
from quorum.keyring import Keyring
from quorum.ledger import Ledger
from quorum.workspace import Workspace
from tests.end_to_end import erasures, worlds
from tests.end_to_end.erasures import GONE, STAYING
from tests.end_to_end.leaks import Leak, leaks
from tests.end_to_end.spellings import Canary
from tests.end_to_end.test_backfill import backfill
from tests.end_to_end.test_nightly import relations

PUT_BACK = "quorum/2.jsonl.gz"
REQUEST = erasure.Request("acme", tuple(GONE))
PSEUDONYMS = """
select unit_key from int_events where anonymous_key in (
    select anonymous_key from int_events group by anonymous_key having count(distinct user_key) = 1
)
"""
ACCOUNTS = """
select rows_read, accepted_rows + duplicate_rows + deferred_rows + quarantined_rows from gov_landing_accounting
"""


@dataclass(frozen=True)
class Erased:
    """A workspace before an erasure, amid it when the warehouse has followed, and after it."""

    before: Workspace
    let_go: Workspace
    after: Workspace
    never: Workspace
    printed: dict[str, Any]
    pseudonyms: set[Canary]


@pytest.fixture(scope="module")
def erased(tmp_path_factory: pytest.TempPathFactory) -> Erased:
    root = tmp_path_factory.mktemp("erased")
    before = erasures.world(root / "before")
    worlds.ingest(before)
    erasures.land(before, erasures.SECOND_NIGHT)
    worlds.run(before)
    never = worlds.sibling(before, root / "never", keep=lambda _file: False)
    erasures.land(never, erasures.files(erasures.is_kept), erasures.is_kept)
    worlds.build(never)

    after, let_go = worlds.copied(before, root / "after"), Workspace(root / "let_go")
    (root / "gone.txt").write_text("".join(f"  {user.upper()}\n" for user in GONE))
    finish = forgetting.finish

    def copied_first(*arguments: Any) -> forgetting.Forgotten | None:
        worlds.copied(after, let_go.root)
        return finish(*arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(forgetting, "finish", copied_first)
        patched.setattr(erasure, "now", lambda: erasures.BEFORE)
        done = worlds.quorum(
            after, "erase", "--json", "--tenant=acme", f"--users={root / 'gone.txt'}", f"--as-of={worlds.LAST_DAY}"
        )
    assert done.exit_code == 0, done.output
    known = {key for (key,) in worlds.fetch(before, "tenant", "select user_key from int_events")}
    kept = {key for (key,) in worlds.fetch(never, "tenant", "select user_key from int_events")}
    return Erased(before, let_go, after, never, json.loads(done.stdout), known - kept)


def found(workspace: Workspace, canaries: set[Canary]) -> set[Leak]:
    """Look everywhere but into what is published already, and the log of what was done."""
    return leaks(canaries, erasures.readable(workspace))


def quarantined(workspace: Workspace) -> list[tuple[Any, ...]]:
    query = "select reason, payload from int_quarantine where reason <> 'erased' order by all"
    return worlds.fetch(workspace, "restricted", query)


def assert_as_if_never(workspace: Workspace, never: Workspace) -> None:
    assert relations(workspace) == relations(never)
    for query in ("from gov_properties order by all", "from gov_fields order by all"):
        assert worlds.fetch(workspace, "restricted", query) == worlds.fetch(never, "restricted", query)
    assert quarantined(workspace) == quarantined(never)
    assert all(read == ended for read, ended in worlds.fetch(workspace, "restricted", ACCOUNTS))


def test_every_canary_was_there_to_be_found(erased: Erased) -> None:
    assert len(erased.pseudonyms) == len(GONE)
    sought = erasures.canaries() | erased.pseudonyms
    assert {leak.canary for leak in found(erased.before, sought)} == sought


def test_nothing_of_a_hundred_users_is_left(erased: Erased) -> None:
    assert not found(erased.after, erasures.canaries() | erased.pseudonyms)


def test_all_else_is_as_if_they_had_never_been(erased: Erased) -> None:
    assert_as_if_never(erased.after, erased.never)


def test_what_is_kept_of_their_days_has_followed_before_databases_are_written_anew(erased: Erased) -> None:
    assert worlds.fetch(erased.let_go, "restricted", "from landing_erased")
    assert worlds.fetch(erased.let_go, "restricted", "from forgotten_days") == []


def test_the_receipt_counts_and_proves(erased: Erased) -> None:
    printed = erased.printed
    assert printed["rows_found"] == {"deferred": 23, "duplicates": 99, "events": 419, "quarantined": 3}
    assert printed["files"]["blanked_files"] == 7
    log = ChainedLog(erased.after.audit_log)
    log.verify()
    assert printed["nonce"] not in erased.after.audit_log.read_text()
    check = ("erase", "--json", "--tenant=acme", f"--check={printed['nonce']}")
    shown = worlds.quorum(erased.after, *check, f"--user={GONE[3]}", f"--user={GONE[4].upper()}")
    assert json.loads(shown.stdout)["audit_entry"] == printed["audit_entry"]
    refused = worlds.quorum(erased.after, *check, f"--user={GONE[3]}", f"--user={STAYING[4]}")
    assert refused.exit_code == 4
    assert refused.stderr == "quorum: the audit log holds no erasure that this receipt and these ids are of\n"


@pytest.fixture(scope="module")
def afterwards(erased: Erased, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The night after, in which old rows of theirs land, and a new one, and a file is put back from a backup."""
    workspace = worlds.copied(erased.after, tmp_path_factory.mktemp("afterwards") / "workspace")
    erasures.land_late(workspace)
    shutil.copy2(erased.before.landing / PUT_BACK, workspace.landing / PUT_BACK)
    report = worlds.run(workspace)
    assert not report.problems
    assert report.published
    return workspace


def test_what_arrives_late_stays_away_and_a_new_start_is_one(erased: Erased, afterwards: Workspace) -> None:
    late = {erasures.mark(user, text) for user in GONE for text in ("event-0030", "event-0031")}
    of_the_new = {canary for canary in late | erasures.canaries() if str(canary).lower().startswith("gone.007")}
    assert not found(afterwards, (erasures.canaries() | late) - of_the_new)
    counts = "select count(*), count(distinct unit_key) from int_events"
    [(events, users)] = worlds.fetch(erased.never, "tenant", counts)
    assert worlds.fetch(afterwards, "tenant", counts) == [(events + 2, users + 1)]
    assert (afterwards.landing / "quorum" / erasures.LATE).read_text().count("leak.example") == 0


def test_a_file_that_is_put_back_is_blanked_again(erased: Erased, afterwards: Workspace) -> None:
    contents = [(each.landing / PUT_BACK).read_bytes() for each in (erased.before, erased.after, afterwards)]
    assert contents[0] != contents[1] == contents[2]


def test_the_next_release_is_without_them_and_spends_nothing(erased: Erased, afterwards: Workspace) -> None:
    ledgers = [Ledger.open(workspace.ledger_url) for workspace in (erased.before, afterwards)]
    assert list(ledgers[0].charges()) == list(ledgers[1].charges())
    assert ledgers[0].report() == ledgers[1].report()
    [shown] = worlds.fetch(afterwards, "tenant", "select max(daily_active_users) from mart_tenant_daily")
    assert shown[0] < len(GONE)
    assert worlds.quorum(afterwards, "verify").exit_code == 0


@pytest.mark.soak
def test_reading_everything_again_brings_nothing_back(erased: Erased, tmp_path: Path) -> None:
    workspace = worlds.copied(erased.after, tmp_path / "workspace")
    backfill(workspace, "2026-03-20", "2026-03-29")
    assert_as_if_never(workspace, erased.never)
    assert not found(workspace, erasures.canaries() | erased.pseudonyms)


def finish(workspace: Workspace) -> forgetting.Forgotten | None:
    keyring = Keyring.open(workspace.keyring)
    return forgetting.finish(workspace, keyring, worlds.LAST_DAY, worlds.silent)


def raw_files(workspace: Workspace) -> dict[str, bytes]:
    root = workspace.landing
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


BUGS: dict[str, tuple[Any, str, Callable[..., Any], str]] = {
    "the databases are not written anew": (compaction, "rewrite", lambda *_: None, "duckdb"),
    "the raw files are not": (forgetting, "_blank_files", lambda *_: forgetting.Forgotten(), "landing"),
    "one kind of relation is passed over": (erased_rows, "empty_passing", lambda *_: None, ".duckdb"),
    "what dbt wrote is left": (forgetting, "_sweep", lambda *_: None, "dbt.log"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str, erased: Erased, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = worlds.copied(erased.let_go, tmp_path / "workspace")
    log = workspace.restricted / "dbt" / "logs" / "dbt.log"
    log.write_text(f"could not convert '{GONE[0]}'")  # as an error of the database would
    monkeypatch.setattr(*BUGS[bug][:3])
    finish(workspace)
    left = found(workspace, erasures.canaries() | erased.pseudonyms)
    assert left
    assert all(BUGS[bug][3] in str(leak.file) for leak in left)


POINTS = [
    (raw_rewriting, "write_without", 1),
    (raw_rewriting, "put", 2),  # the ledger of files knows of the new content, and the old one stands
    (checksums, "relist", 3),  # the new content stands, and nothing says that it is the last step
    (compaction, "rewrite", 1),
    (compaction, "rewrite", 3),  # of the restricted plane
    (landing_queue, "renew", 1),
]


@pytest.mark.parametrize("place", [1, 4, 5, *(pytest.param(place, marks=pytest.mark.soak) for place in (0, 2, 3))])
def test_killed_at_the_end_it_is_made_good(
    place: int, erased: Erased, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = worlds.copied(erased.let_go, tmp_path / "workspace")
    module, name, call = POINTS[place]
    real, calls = getattr(module, name), []

    def dies(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == call:
            raise KeyboardInterrupt
        real(*arguments)

    with monkeypatch.context() as planted:
        planted.setattr(module, name, dies)
        with pytest.raises(KeyboardInterrupt):
            finish(workspace)
    with nightly.between_nights(workspace, worlds.LAST_DAY, worlds.silent) as night:
        assert not night.report.problems
    finish(workspace)
    assert not found(workspace, erasures.canaries() | erased.pseudonyms)
    assert raw_files(workspace) == raw_files(erased.after)
    names = "select * exclude (modified_ns) from landing_names order by all"
    assert worlds.fetch(workspace, "restricted", names) == worlds.fetch(erased.after, "restricted", names)


@pytest.mark.soak
@pytest.mark.parametrize("again", ["erase", "night"])
def test_killed_before_that_it_is_made_good(
    again: str, erased: Erased, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = worlds.copied(erased.before, tmp_path / "workspace")
    points = [
        (erased_rows, "mark"),  # nothing is decided yet
        (nightly._Night, "work_off"),
        (landing_queue, "commit"),
        (landing_queue, "settle"),
    ]
    for module, name in points[again == "night" :]:
        with monkeypatch.context() as planted:

            def dies(*_: Any, **__: Any) -> None:
                raise KeyboardInterrupt

            planted.setattr(module, name, dies)
            with pytest.raises(KeyboardInterrupt):
                erasure.erase(workspace, worlds.LAST_DAY, REQUEST, worlds.silent, erasures.BEFORE)
    if again == "erase":
        erasure.erase(workspace, worlds.LAST_DAY, REQUEST, worlds.silent, erasures.BEFORE)
    else:
        worlds.build(workspace)
    assert_as_if_never(workspace, erased.never)
    assert not found(workspace, erasures.canaries() | erased.pseudonyms)


def test_whom_nobody_knows(erased: Erased, tmp_path: Path) -> None:
    workspace = worlds.copied(erased.after, tmp_path / "workspace")
    nobody = erasure.Request("acme", ("nobody",))
    with worlds.untested():
        receipt = erasure.erase(workspace, worlds.LAST_DAY, nobody, worlds.silent, erasures.BEFORE)
    assert receipt.rows == {}
    assert receipt.forgotten == forgetting.Forgotten()
    last = [entry for entry in ChainedLog(workspace.audit_log).records() if entry.kind == "erasure"][-1]
    assert (last.seq, last.facts["rows"]) == (receipt.audit_entry, {})
