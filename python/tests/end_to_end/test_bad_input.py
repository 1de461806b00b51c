"""What is wrong with the input is told in one line; the last release stands, and the next run puts things right."""

import fcntl
import gzip
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result

from quorum.audit import AuditLog
from quorum.errors import Refused
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night
from tests.end_to_end.histories import event

RUN = ("run", f"--as-of={worlds.LAST_DAY}")
CHECK = ("erase", "--tenant=acme-001", "--user=u", f"--as-of={worlds.LAST_DAY}", "--check")
SENT = datetime(2025, 9, 1, 12, tzinfo=UTC)  # before all that is simulated, and not so long ago that it expires
WELL_FORMED_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
UNTOUCHED = ("published", "ledger", "keyring", "warehouse")


def told(result: Result) -> list[str]:
    """Return what was said on stderr, but for progress."""
    assert "Traceback" not in result.output
    return [line for line in result.stderr.splitlines() if not line.startswith("[")]


@dataclass(frozen=True)
class Mistake:
    """What somebody did to a workspace, and how the command that finds it ends."""

    exit_code: int
    line: str  # a pattern
    make: Callable[[Workspace], object] = lambda _workspace: None
    command: tuple[str, ...] = RUN
    environment: dict[str, str] = field(default_factory=dict)


def without(*parts: str) -> Callable[[Workspace], object]:
    def remove(workspace: Workspace) -> None:
        for path in (workspace.root / part for part in parts):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return remove


def writes(name: str, content: str | bytes) -> Callable[[Workspace], object]:
    def write(workspace: Workspace) -> None:
        path = workspace.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def releases(content: str) -> Callable[[Workspace], object]:
    return writes("policy/releases.yml", f"releases: {content}")


def fields(row: str) -> Callable[[Workspace], object]:
    return writes("policy/field_policies.csv", f"source_format,field,class,action\n{row}\n")


LONGER = "tenant_id,class,days\n*,ip_address,91\n"


def empties_landing(workspace: Workspace) -> None:
    shutil.rmtree(workspace.landing)
    workspace.landing.mkdir()


MISTAKES = {
    "no workspace": Mistake(2, "no workspace at .*: make one with `quorum init`", without(".")),
    "no landing folder": Mistake(2, "no folder .*/landing: put raw files under", without("landing")),
    "an empty landing folder": Mistake(2, "landing/ is empty: make a folder", empties_landing),
    "an unknown format": Mistake(2, "no known format: .* ga4, github", lambda w: (w.landing / "segmnt").mkdir()),
    "a file beside the formats": Mistake(2, "no known format", writes("landing/ada@leak.example.jsonl", "{}")),
    "no registry": Mistake(2, "registry/tenants.csv cannot be read .*`quorum init` makes one", without("registry")),
    "a registry without columns": Mistake(2, "line 1: no column tenant_id", writes("registry/tenants.csv", "a,b\n1,2")),
    "a registry of bytes": Mistake(2, "line 1: it is not UTF-8", writes("registry/tenants.csv", b"\xff\x00")),
    "a policy that is not YAML": Mistake(2, "policy/releases.yml: is not YAML", releases("[")),
    "a policy of another shape": Mistake(2, "policy/releases.yml: expected `releases:`", releases("[1]")),
    "a policy of an unknown release": Mistake(4, "no release usage is declared", releases("{usage: {}}")),
    "a policy that loosens": Mistake(
        4, "tolerance_points may only be lower", releases("{feature_usage: {tolerance_points: 7}}")
    ),
    "a policy of what is not for it": Mistake(
        2, "tenant_cap cannot be set", releases("{feature_usage: {tenant_cap: 1}}")
    ),
    "a policy without a number": Mistake(2, "history must be a number", releases("{feature_usage: {history: all}}")),
    "a field that is kept as it is": Mistake(4, "line 2: keep is laxer than truncate", fields("*,ip,ip_address,keep")),
    "a field that no model can treat so": Mistake(
        2, "line 2: tokenise does not suit the field ip", fields("*,ip,ip_address,tokenise")
    ),
    "a field that stays longer": Mistake(
        4, "line 2, column days: ip_address may only stay shorter", writes("registry/retention.csv", LONGER)
    ),
    "a master key that is none": Mistake(2, "must hold 32 random bytes", environment={"QUORUM_MASTER_KEY": "secret"}),
    "another master key": Mistake(4, "by another master key", environment={"QUORUM_MASTER_KEY": WELL_FORMED_KEY}),
    "no master key": Mistake(4, "set QUORUM_MASTER_KEY", without("keyring/development.key")),
    "a broken keyring": Mistake(4, "keyring.json is damaged", writes("keyring/keyring.json", "{")),
    "no ledger": Mistake(4, "there is no ledger at .*: put it back", without("ledger")),
    "a ledger that is none": Mistake(1, "the ledger cannot be used", writes("ledger/ledger.db", "ledger" * 999)),
    "a release that is gone": Mistake(4, "manifest.json cannot be read", without("published/releases")),
    "a broken audit log": Mistake(4, "audit.jsonl: entry 1 cannot be read", writes("restricted/audit.jsonl", "{}\n")),
    "no project": Mistake(2, "no dbt_project.yml in /nowhere", environment={"QUORUM_PROJECT": "/nowhere"}),
    "a day that is none": Mistake(2, "'--as-of': '2026-02-30' does not match", command=("run", "--as-of=2026-02-30")),
    "a day that is not over": Mistake(2, "2199-01-01 is not over yet", command=("run", "--as-of=2199-01-01")),
    "batches of half a number": Mistake(
        2, "QUORUM_BATCH_ROWS is '1e6': it must be a whole number", environment={"QUORUM_BATCH_ROWS": "1e6"}
    ),
    "batches of no row": Mistake(2, "whole number of at least 1", environment={"QUORUM_BATCH_ROWS": "0"}),
    "a nonce that is none": Mistake(2, "is 64 hexadecimal digits", command=(*CHECK, "zz")),
    "half a nonce": Mistake(2, "is 64 hexadecimal digits", command=(*CHECK, "0a" * 16)),
    "no nonce at all": Mistake(2, "is 64 hexadecimal digits", command=(*CHECK, "")),
    "an unknown option": Mistake(2, "No such option '--force'", command=("run", "--force")),
    "an unknown command": Mistake(2, "No such command 'publish'", command=("publish",)),
    "a tenant that is none": Mistake(2, "this tenant has no keys", command=("keys", "--tenant=nobody")),
    "a second init": Mistake(2, "tenants.csv is there already", command=("init",)),
    "a world of nobody": Mistake(2, "tenants must be between 1", command=("simulate", "--tenants=0")),
    "a plan before the first run": Mistake(2, "nothing is built yet", without("warehouse"), ("plan",)),
    "a status before the first run": Mistake(2, "nothing is published yet", without("published"), ("status",)),
}


@pytest.fixture(scope="module")
def mistaken(simulated_night: Night, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which one mistake after the other is made, and put right."""
    return worlds.copied(simulated_night.workspace, tmp_path_factory.mktemp("mistaken") / "workspace")


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_one_line(
    name: str, simulated_night: Night, mistaken: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake = MISTAKES[name]
    mistake.make(mistaken)
    before = {part: worlds.file_hashes(mistaken.root / part) for part in UNTOUCHED}
    for variable, value in mistake.environment.items():
        monkeypatch.setenv(variable, value)
    try:
        result = worlds.quorum(mistaken, *mistake.command)

        assert result.exit_code == mistake.exit_code
        [line] = told(result)
        assert re.fullmatch(f"quorum: .*{mistake.line}.*", line)
        if mistake.exit_code == Refused.exit_code and name != "a broken audit log":
            refusal = AuditLog(mistaken).records()[-1]
            assert (refusal.kind, refusal.facts["command"]) == ("refused", "run")
            assert re.fullmatch(r"[a-z_]+\.[a-z_A-Z]+", refusal.facts["at"])
        assert before == {part: worlds.file_hashes(mistaken.root / part) for part in UNTOUCHED}
    finally:
        for part in (*UNTOUCHED, "landing", "registry", "policy", "restricted/audit.jsonl", "restricted/heads.json"):
            put_back(simulated_night.workspace.root / part, mistaken.root / part)


def test_a_run_after_all_of_them_is_a_good_one(simulated_night: Night, mistaken: Workspace) -> None:
    worlds.land(mistaken, "new.jsonl", [event("acme-001", "new", "new", SENT)])
    with worlds.untested():
        assert worlds.quorum(mistaken, *RUN).exit_code == 0
    verified = worlds.quorum(mistaken, "verify")
    assert (verified.exit_code, verified.stderr) == (0, "")
    good = simulated_night.workspace.published / "current"
    assert (mistaken.published / "current").readlink() != good.readlink()


def put_back(good: Path, path: Path) -> None:
    """Undo the mistake, and nothing that the run which found it has done elsewhere."""
    if path.is_dir():
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if good.is_dir():
        shutil.copytree(good, path, symlinks=True)
    elif good.exists():
        shutil.copy2(good, path)


def test_a_second_run_at_the_same_time_is_turned_away(simulated_night: Night, tmp_path: Path) -> None:
    workspace = worlds.copied(simulated_night.workspace, tmp_path / "workspace")
    before = worlds.file_hashes(workspace.root)
    with (workspace.restricted / "run.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = worlds.quorum(workspace, *RUN)
    assert result.exit_code == 3
    assert told(result) == [f"quorum: another run holds {workspace.root}: wait for it to end"]
    assert worlds.file_hashes(workspace.root) == before


def sent(user: str, tenant: str = "acme-001") -> bytes:
    return json.dumps(event(tenant, user, user, SENT)).encode()


def packed(user: str) -> bytes:
    return gzip.compress(sent(user))


# Files that have to wait, why, and as what they come again.
WAITING = {
    "cut.jsonl.gz": (packed("a")[:-9], "waits for the next run, its gzip stream is cut short"),
    "damaged.json.gz": (packed("b")[:20] + bytes(20) + packed("b")[40:], "its gzip stream is damaged"),
    "plain.jsonl.gz": (sent("c"), "its gzip stream is damaged"),
    "empty.ndjson": (b"", "it is empty"),
    "table.xlsx": (sent("d"), "left alone, its name ends in none of .jsonl"),
}
MENDED = {
    "cut.jsonl.gz": packed("a"),
    "damaged.json.gz": packed("b"),
    "plain.jsonl.gz": packed("c"),
    "empty.ndjson": sent("e"),
    "table.jsonl": sent("d"),
}
LINES = [b"not JSON", b'{"user_id": "\xff"}', b"x" * 2**21, sent("f"), sent("g", tenant="ghost")]
TAKEN = "select landing_file, count(*) from int_events where occurred_at < timestamp '2026-01-01' group by all"
REFUSED = """
select reason from int_quarantine join landing_files using (landing_file)
where path = 'quorum/lines.jsonl' order by landing_row
"""


def taken(workspace: Workspace) -> dict[str, int]:
    """Return how many rows came in, by the name of their file, of those that were sent here."""
    names = dict(worlds.fetch(workspace, "restricted", "select landing_file, path from landing_files"))
    return {Path(names[file]).name: rows for file, rows in worlds.fetch(workspace, "tenant", TAKEN)}


def test_files_that_cannot_be_taken_wait_and_hold_up_no_other(simulated_night: Night, tmp_path: Path) -> None:
    workspace = worlds.copied(simulated_night.workspace, tmp_path / "workspace")
    landing = workspace.landing / "quorum"
    known = min(landing.iterdir())
    as_read = known.read_bytes()
    known.write_bytes(packed("changed"))
    (landing / "unreadable.jsonl").symlink_to("/proc/self/mem")  # an I/O error, for root too
    (landing / "lines.jsonl").write_bytes(b"\n".join(LINES))
    (landing / "good.jsonl").write_bytes(sent("h"))
    for name, (content, _) in WAITING.items():
        (landing / name).write_bytes(content)

    with worlds.untested():
        first = worlds.quorum(workspace, *RUN)
    assert first.exit_code == 2
    assert all(line.startswith("quorum: landing/quorum: ") for line in told(first))
    for why in ("its content changed", "cannot be read: Input/output error", *(why for _, why in WAITING.values())):
        assert sum(why in line for line in told(first)) == 1
    named = re.findall(r"landing/quorum/([^:]+)", workspace.landing_problems.read_text())
    assert set(named) == {known.name, "unreadable.jsonl", *WAITING}
    assert taken(workspace) == {"good.jsonl": 1, "lines.jsonl": 1}
    released = (folder.published / "current" for folder in (workspace, simulated_night.workspace))
    assert len({link.readlink() for link in released}) == 2, "without them"
    refused = worlds.fetch(workspace, "restricted", REFUSED)
    assert [reason for (reason,) in refused] == ["unparsable", "unparsable", "oversized", "unknown_tenant"]

    known.write_bytes(as_read)
    (landing / "unreadable.jsonl").unlink()
    (landing / "table.xlsx").unlink()
    for name, content in MENDED.items():
        (landing / name).write_bytes(content)
    assert not worlds.ingest(workspace).problems
    assert taken(workspace) == {"good.jsonl": 1, "lines.jsonl": 1, **dict.fromkeys(MENDED, 1)}
