"""Whatever is taken from either chain, or put back into it, `quorum verify` finds; and what finds it is the anchors."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quorum import anchors, release_folders
from quorum.anchors import Chains
from quorum.audit import KINDS, AuditLog
from quorum.budget import Budget, Cost, Slot
from quorum.errors import BadInput, QuorumError, Refused
from quorum.hash_chain import ChainedLog, Entry, link
from quorum.ledger import Ledger
from quorum.workspace import Workspace
from tests.end_to_end import worlds

MONDAY = date(2026, 3, 23)
Lines = list[str]
Tamper = Callable[[Lines], Lines]


def night(workspace: Workspace, number: int) -> str:
    """Do to the chains what a night does that ends well; return the head that it prints."""
    log, ledger = AuditLog(workspace), Ledger.open(workspace.ledger_url)
    log.append("run_started", as_of=str(MONDAY + timedelta(number)), rebuild=None)
    start = MONDAY + timedelta(weeks=number)
    slot = Slot("users", "usage", "week", start, start + timedelta(weeks=1), "spec", "policy")
    ledger.commit(ledger.reserve(slot, Cost(Decimal("0.03")), Budget("users", {"year": Decimal(2)})), {"week": number})
    log.charges(ledger)
    workspace.operator_manifests.mkdir(exist_ok=True)
    manifest = workspace.operator_manifests / f"release{number}.json"
    manifest.write_text(json.dumps({"chains": anchors.heads(workspace, ledger)}))
    log.published(manifest, 0, ["b", "a"])
    log.append("run_ended", as_of=str(MONDAY + timedelta(number)), release=manifest.stem, policy="p")
    return str(anchors.tie(workspace, ledger))


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two nights in ``workspace/``, and what the first left, in ``first/``."""
    root = tmp_path_factory.mktemp("nights")
    workspace = Workspace(root / "workspace")
    for folder in ("restricted", "ledger", "published", "landing"):
        (workspace.root / folder).mkdir(parents=True)
    Ledger.create(workspace.ledger_url)
    night(workspace, 1)
    shutil.copytree(workspace.root, root / "first")
    night(workspace, 2)
    return root


@pytest.fixture
def workspace(nights: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(nights, tmp_path, dirs_exist_ok=True)
    return Workspace(tmp_path / "workspace")


@pytest.fixture(autouse=True)
def _no_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """These nights have the chains of a release, and no folder of one that readers could see."""
    monkeypatch.setattr(release_folders, "refuse_elsewhere", lambda *_: None)


def audit_lines(workspace: Workspace) -> Lines:
    return workspace.audit_log.read_text().splitlines()


def tamper_with_audit(workspace: Workspace, tamper: Tamper) -> None:
    workspace.audit_log.write_text("".join(f"{line}\n" for line in tamper(audit_lines(workspace))))


def tamper_with_ledger(workspace: Workspace, tamper: Tamper) -> None:
    with sqlite3.connect(workspace.root / "ledger" / "ledger.db") as connection:
        for (trigger,) in connection.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            connection.execute(f"drop trigger {trigger}")
        lines = tamper([line for (line,) in connection.execute("select record from entries order by seq")])
        connection.execute("delete from entries")
        connection.executemany("insert into entries values (?, ?)", list(enumerate(lines, start=1)))
    connection.close()


CHAINS = {"audit.jsonl": tamper_with_audit, "ledger": tamper_with_ledger}


def edited(name: str, place: int) -> Tamper:
    def edit(lines: Lines) -> Lines:
        entry = json.loads(lines[place])
        other = {
            "seq": 99,
            "kind": "other",
            "facts": {"a": 1},
            "salt": "0" * 32,
            "previous": "1" * 64,
            "hash": "2" * 64,
        }
        return [*lines[:place], Entry(**entry | {name: other[name]}).line().decode(), *lines[place:][1:]]

    return edit


def rewritten(lines: Lines) -> Lines:
    """Write the last entry anew, with other facts and a hash that fits, as somebody can who knows the format."""
    last = Entry(**json.loads(lines[-1]))
    record = {"seq": last.seq, "kind": last.kind, "facts": {**last.facts, "entries": 1}, "salt": last.salt}
    forged = replace(last, facts=record["facts"], hash=link(last.previous, record))  # type: ignore[arg-type]
    return [*lines[:-1], forged.line().decode()]


BROKEN: dict[str, Tamper] = {
    "first deleted": lambda lines: lines[1:],
    "middle deleted": lambda lines: lines[:3] + lines[4:],
    "reordered": lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]],
    "repeated": lambda lines: [*lines[:3], lines[2], *lines[3:]],
    **{f"{name} edited": edited(name, 2) for name in ("seq", "kind", "facts", "salt", "previous", "hash")},
    **{f"{name} of the last edited": edited(name, -1) for name in ("seq", "kind", "facts", "salt", "previous", "hash")},
}
# Each leaves a chain that is sound by itself: only who knew its end can tell.
CUT: dict[str, Tamper] = {
    "last deleted": lambda lines: lines[:-1],
    "cut short": lambda lines: lines[:-3],
    "all deleted but one": lambda lines: lines[:1],
    "end written anew": rewritten,
}


def verify(workspace: Workspace, *arguments: str) -> tuple[int, str]:
    result = worlds.quorum(workspace, "verify", *arguments)
    return result.exit_code, result.stderr.strip() if result.exit_code else result.stdout


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("name", BROKEN | CUT)
def test_verify_finds_what_was_done_to_one_chain(workspace: Workspace, chain: str, name: str) -> None:
    assert verify(workspace)[0] == 0
    CHAINS[chain](workspace, (BROKEN | CUT)[name])
    code, line = verify(workspace)
    assert code == 4
    assert line.startswith(f"quorum: {chain}: ")
    assert "\n" not in line


def put_back(workspace: Workspace, *parts: str) -> None:
    for part in parts:
        source, target = workspace.root.parent / "first" / part, workspace.root / part
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)


AUDIT, LEDGER, HEADS, MANIFESTS = "restricted/audit.jsonl", "ledger", "restricted/heads.json", "restricted/releases"


@pytest.mark.parametrize(
    "parts", [(AUDIT,), (LEDGER,), (AUDIT, LEDGER), (AUDIT, HEADS), (LEDGER, HEADS), (AUDIT, LEDGER, HEADS)]
)
def test_verify_finds_an_old_copy(workspace: Workspace, parts: tuple[str, ...]) -> None:
    put_back(workspace, *parts)
    code, line = verify(workspace)
    assert code == 4
    assert "an older copy was put back" in line


def test_a_run_refuses_too_and_leaves_what_it_found(workspace: Workspace) -> None:
    put_back(workspace, AUDIT)
    with pytest.raises(Refused, match="older copy"):
        anchors.verify(workspace, Ledger.open(workspace.ledger_url))
    heads = workspace.heads.read_bytes()
    for _ in range(20):  # refusals are written into the log that is there, and do not make it pass for the other
        AuditLog(workspace).append("refused", command="run", error="Refused", at="anchors.check")
    assert workspace.heads.read_bytes() == heads
    assert verify(workspace) == (
        4,
        "quorum: audit.jsonl: entry 10 is not the one that heads.json knows: it was written anew; put the newest back",
    )


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("name", CUT)
def test_without_anchors_a_cut_would_not_be_found(
    workspace: Workspace, chain: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Chains, "check", lambda *_: None)
    CHAINS[chain](workspace, CUT[name])
    if (chain, name) != ("ledger", "cut short"):  # which takes a commit, and leaves its content behind
        assert verify(workspace)[0] == 0


def test_everything_put_back_is_found_by_a_head_that_was_written_down(workspace: Workspace) -> None:
    written_down = verify(workspace)[1].split()[-1]
    assert verify(workspace, "--head", written_down)[0] == 0
    night(workspace, 3)
    assert verify(workspace, "--head", written_down)[0] == 0, "a chain may have grown since"
    put_back(workspace, AUDIT, LEDGER, HEADS, MANIFESTS)
    assert verify(workspace)[0] == 0, "the whole machine of another day is that machine"
    code, line = verify(workspace, "--head", written_down)
    assert (code, "the head that was written down knows" in line) == (4, True)
    night(workspace, 3)
    night(workspace, 4)
    assert verify(workspace, "--head", written_down)[0] == 4, "nor can it grow there again"


@pytest.mark.parametrize("head", ["12", "12-xyz", "0-" + "a" * 20, "1-" + "A" * 20])
def test_what_is_no_head_is_told(workspace: Workspace, head: str) -> None:
    with pytest.raises(BadInput):
        anchors.Head.parse(head)
    assert verify(workspace, "--head", head)[0] == 2


class TestHeads:
    def test_they_may_not_go_missing(self, workspace: Workspace) -> None:
        workspace.heads.unlink()
        AuditLog(workspace).append("refused", command="run", error="Refused", at="anchors.check")
        assert verify(workspace) == (4, f"quorum: {workspace.heads} is missing: put the newest back")

    def test_a_log_from_before_there_were_any_gets_them(self, tmp_path: Path) -> None:
        workspace = Workspace(tmp_path)
        for folder in ("restricted", "ledger", "published", "landing"):
            (workspace.root / folder).mkdir()
        Ledger.create(workspace.ledger_url)
        ChainedLog(workspace.audit_log).append("run_started", as_of="2026-01-01")
        assert verify(workspace)[0] == 0
        night(workspace, 1)
        assert (verify(workspace)[0], set(json.loads(workspace.heads.read_text()))) == (0, {"audit", "ledger"})

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"audit": 1}', '{"audit": {"entries": 1}}'])
    def test_nor_be_damaged(self, workspace: Workspace, content: str) -> None:
        workspace.heads.write_text(content)
        assert verify(workspace) == (4, f"quorum: {workspace.heads} cannot be read: put the newest back")

    def test_two_that_append_at_once_do_not_harm_them(self, workspace: Workspace) -> None:
        """A key is handed over while a run is at work."""
        many = 40

        def hand_over(number: int) -> None:
            for _ in range(many):
                AuditLog(workspace).append("key_handed_over", tenant_key=f"{number}", on=str(MONDAY))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(hand_over, range(4)))
        newest = AuditLog(workspace).records()[-1]
        assert len(AuditLog(workspace).of("key_handed_over")) == 4 * many
        known = json.loads(workspace.heads.read_text())[anchors.AUDIT]
        assert known == {"entries": newest.seq, "head": newest.hash}

    def test_a_refusal_cut_off_before_the_next_night_is_found(self, workspace: Workspace) -> None:
        AuditLog(workspace).append("refused", command="run", error="Refused", at="policy.resolve")
        assert verify(workspace)[0] == 0
        tamper_with_audit(workspace, lambda lines: lines[:-1])
        assert verify(workspace)[0] == 4

    def test_a_manifest_is_what_was_published(self, workspace: Workspace) -> None:
        manifest = workspace.operator_manifests / "release1.json"
        manifest.write_text(manifest.read_text() + " ")
        assert verify(workspace) == (4, f"quorum: {manifest} was changed after it was published: put it back")


def test_a_look_while_a_run_is_at_work_is_no_alarm(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between any two of the things that it reads, a night goes by."""
    places = ((anchors, "_heads", 0), (anchors, "_by_manifests", 0), (ChainedLog, "records", 0))
    for home, name, before in (*places, (Ledger, "entries", 0), (ChainedLog, "records", 1)):
        read, numbers = getattr(home, name), iter([*[None] * before, 3, *[None] * 99])

        def reads(*arguments: Any, read: Any = read, numbers: Any = numbers) -> Any:
            found = read(*arguments)
            if number := next(numbers):
                night(workspace, number)
            return found

        with monkeypatch.context() as planted:
            planted.setattr(home, name, reads)
            anchors.verify(workspace, Ledger.open(workspace.ledger_url))
        put_back(workspace, AUDIT, LEDGER, HEADS, MANIFESTS)
        night(workspace, 2)


class Dead(BaseException):
    pass


@pytest.mark.parametrize(
    ("home", "name", "calls"),
    [
        *((ChainedLog, "append", number) for number in (0, 3, 4)),
        (Ledger, "append_head", 0),
        *((anchors, "_write", number) for number in (0, 4, 5)),
    ],
)
def test_a_kill_between_two_anchors_is_no_alarm(
    workspace: Workspace, home: object, name: str, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The night dies before, and after, each thing that it writes."""
    write, left = getattr(home, name), [calls]

    def dies(*arguments: object, **facts: object) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise Dead
        return write(*arguments, **facts)

    with monkeypatch.context() as planted:
        planted.setattr(home, name, dies)
        with suppress(Dead):
            night(workspace, 3)
    assert verify(workspace)[0] == 0
    night(workspace, 4)
    assert verify(workspace)[0] == 0


class TestLoss:
    def test_it_can_be_accepted_and_is_told_for_good(self, workspace: Workspace) -> None:
        put_back(workspace, AUDIT)
        assert verify(workspace)[0] == 4
        code, found = verify(workspace, "--accept-loss", "--json")
        assert (code, json.loads(found)["accepted_losses"]) == (0, 1)
        night(workspace, 5)
        assert json.loads(verify(workspace, "--json")[1])["accepted_losses"] == 1
        assert AuditLog(workspace).of("loss_accepted")[0].facts == {"known": 10, "found": 5}
        tamper_with_audit(workspace, lambda lines: lines[:-1])
        assert verify(workspace)[0] == 4

    def test_where_nothing_is_lost_there_is_nothing_to_accept(self, workspace: Workspace) -> None:
        assert verify(workspace, "--accept-loss") == (2, "quorum: nothing is lost: nothing was written")
        assert verify(workspace)[0] == 0

    def test_that_of_the_ledger_never_is(self, workspace: Workspace) -> None:
        put_back(workspace, LEDGER)
        code, line = verify(workspace, "--accept-loss")
        assert code == 4
        assert line.startswith("quorum: ledger: ")
        assert Ledger.open(workspace.ledger_url).entries()[-1].kind == "anchor", "nothing was written"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_tampering_with_the_audit_log_passes(workspace: Workspace, data: st.DataObject) -> None:
    whole = workspace.audit_log.read_bytes()
    lines = whole.splitlines(keepends=True)
    kind = data.draw(st.sampled_from(["order", "byte", "cut"]))
    if kind == "order":
        kept = data.draw(st.lists(st.integers(0, len(lines) - 1), max_size=len(lines) + 2))
        changed = b"".join(lines[number] for number in kept)
    else:
        place = data.draw(st.integers(0, len(whole) - 1))
        byte = bytes([data.draw(st.integers(0, 255))]) if kind == "byte" else b""
        changed = whole[:place] + byte + (whole[place + 1 :] if kind == "byte" else b"")
    workspace.audit_log.write_bytes(changed)
    try:
        if changed == whole:
            anchors.verify(workspace, Ledger.open(workspace.ledger_url))
        else:
            with pytest.raises(QuorumError):
                anchors.verify(workspace, Ledger.open(workspace.ledger_url))
    finally:
        workspace.audit_log.write_bytes(whole)


class TestLog:
    def test_an_entry_has_the_facts_of_its_kind(self, workspace: Workspace) -> None:
        log = AuditLog(workspace)
        before = log.records()
        for facts in ({}, {"as_of": "2026-01-01", "error": "e", "tenant_id": "acme"}):
            with pytest.raises(ValueError, match="has the facts as_of, error"):
                log.append("run_failed", **facts)
        assert log.records() == before
        assert all(set(entry.facts) == set(KINDS[entry.kind]) for entry in before)

    def test_a_change_of_policy_stands_out(self, workspace: Workspace) -> None:
        log = AuditLog(workspace)
        for digests in (
            {"policy": "1", "registry": "a"},
            {"policy": "1", "registry": "a"},
            {"policy": "1", "registry": "b"},
        ):
            log.policy_in_force(digests)
        assert [entry.facts for entry in log.of("policy_changed")] == [
            {"changed": ["policy", "registry"], "old": None, "new": {"policy": "1", "registry": "a"}},
            {"changed": ["registry"], "old": {"policy": "1", "registry": "a"}, "new": {"policy": "1", "registry": "b"}},
        ]

    def test_a_release_is_named_once_with_a_salted_digest(self, workspace: Workspace) -> None:
        log = AuditLog(workspace)
        manifest = workspace.operator_manifests / "release1.json"
        log.published(manifest, 0, ["a", "b"])
        first, second = log.of("release_published")
        assert (first.facts["release"], first.facts["files"]) == ("release1", 2)
        assert first.facts["inputs"] != second.facts["inputs"], "the same files, another salt"

    def test_what_was_charged_is_named_once(self, workspace: Workspace) -> None:
        log, ledger = AuditLog(workspace), Ledger.open(workspace.ledger_url)
        log.charges(ledger)
        assert [entry.facts["reservation"] for entry in log.of("charged")] == [c.seq for c in ledger.charges()]

    def test_a_refusal_says_where_and_no_value(self, workspace: Workspace) -> None:
        def refuse() -> None:
            raise Refused("ada@leak.example is refused")

        with pytest.raises(Refused) as caught:
            refuse()
        AuditLog(workspace).refused("run", caught.value)
        assert AuditLog(workspace).records()[-1].facts == {
            "command": "run",
            "error": "Refused",
            "at": "tests.test_anchors.refuse",
        }
