"""Text that means something to SQL, Jinja, a shell, a path, a terminal or a parser is only text, wherever it stands."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.histories import START, event, registered
from tests.end_to_end.test_nightly import RELATIONS, lines, relations

BYSTANDER = "bystander"
FOLDERS = 8  # tenants whose text is a folder's name too
FIELDS = (
    *("tenant_id", "user_id", "anonymous_id", "account_id", "session_id", "event_id", "event_name", "feature", "url"),
    *("referrer", "ip", "user_agent", "country", "platform", "occurred_at", "sent_at", "duration_ms", "value_minor"),
)


def statements(canary: Path) -> list[str]:
    """Return what would leave a file behind, or a relation missing, if anything took it for its own language."""
    file = f"{canary}-{{}}"
    texts = [
        "'; drop table int_events; --",
        "'); drop table landing_rows; drop table landing_files; --",
        '"; drop schema main cascade; --',
        f"'; copy (select 1) to '{file}'; --",
        f"'||(select 1 from read_text('{canary.parent}/*'))||'",
        f"'; attach '{file}' as planted; create table planted.t as select 1; --",
        f"x'; install httpfs; load httpfs; export database '{file}'; --",
        "{{ run_query('drop table int_events') }}",
        f"{{{{ run_query(\"copy (select 1) to '{file}'\") }}}}",
        f"{{% do run_query(\"attach '{file}'\") %}}",
        "{% endraw %}{{ exceptions.raise_compiler_error('planted') }}{#",
        f"{{{{ modules.os.system('touch {file}') }}}}",
        f"$(touch {file})`touch {file}`; touch {file} #",
        f"__import__('os').system('touch {file}')",
        f"../../../../{canary}",
        f"file://{file}?a=%00&b=%2e%2e%2f#",
    ]
    return [text.replace("{}", str(number)) for number, text in enumerate(texts)]


ODD = [
    "'",
    '"',
    "\\",
    "`",
    "$",
    "$.a",
    "%s %(a)s {0} {} ${a} #{a}",
    "a\tb\nc\rd\x1b[31me\x7f",
    "n\0l",
    "\0",
    "😀👩‍👩‍👧‍👦",
    "\u202eright to left\u202c\u200f",
    "\ufeffbyte order mark\u200b",
    "e\u0301 \u00e9 \u212b",
    "İıſß",
    "Ω" * 10_000,
    "null",
    "NaN",
    "-0",
    "1e999",
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "(" * 1_000,
]
LONG = "i" * 300_000  # three of them fit into a line
HALF = "\ud800"  # of a pair of surrogates


@dataclass(frozen=True)
class Line:
    """A line of a file, where it should end, and whose it then is."""

    content: bytes
    ending: str
    tenant: str


def line(row: dict[str, Any], ending: str = "accepted") -> Line:
    return Line(json.dumps(row).encode(), ending, row["tenant_id"])


def raw(row: dict[str, Any], ending: str = "accepted") -> Line:
    """As it comes from a sender that escapes no more than it must, or less."""
    text = json.dumps(row, ensure_ascii=False).replace("\\u0000", "\0")
    return Line(text.encode("utf-8", "surrogatepass"), ending, row["tenant_id"])


def with_text(text: str, user: str) -> Iterator[dict[str, Any]]:
    """Yield a row for each place that a text can stand in."""
    row = event("acme", user, "", START)
    for field in FIELDS:
        yield row | {"event_id": f"{user} {field}"} | {field: text}
    yield row | {"event_id": f"{user} key", "properties": {text: 1, "plan": "pro"}}
    yield row | {"event_id": f"{user} value", "properties": {"plan": text, "items": text, "is_trial": [text]}}
    yield row | {"event_id": f"{user} field", text: text}


def hostile(canary: Path) -> Iterator[Line]:
    for number, text in enumerate([*statements(canary), *ODD]):
        yield from (line(row) for row in with_text(text, f"u{number}"))
        ending = "unparsable" if "\0" in text else "accepted"
        yield from (raw(row, ending) for row in with_text(text, f"raw {number}"))
    yield from (line(row) for row in with_text(LONG, "long"))
    for row in with_text(HALF, "half"):
        yield from (line(row, "unparsable"), raw(row, "unparsable"))
    yield line(event("acme", "u", "ten megabytes", START, url="x" * 10_000_000), "oversized")
    keys = {f"key {number}": number for number in range(10_000)}
    yield line(event("acme", "u", "ten thousand keys", START, properties=keys))
    yield line(event("acme", "u", "ten thousand fields", START) | keys)
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        for depth in (1_000, 100_000):
            nested = f"{opening * depth}1{closing * depth}"
            row = event("acme", "u", f"{opening} {depth}", START, properties="?")
            yield Line(json.dumps(row).replace('"?"', nested).encode(), "accepted", "acme")


@dataclass(frozen=True)
class Night:
    workspace: Workspace
    lines: list[Line]
    folder: Path  # where no file may appear


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    root, folder = tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("canaries")
    texts = statements(folder / "canary")
    listed = [registered(BYSTANDER), registered("acme"), *(registered(text) for text in texts)]
    workspace = worlds.registered(root, [*listed, registered("*")])
    landed = list(hostile(folder / "canary"))
    worlds.land(workspace, "bystander.jsonl", (event(BYSTANDER, f"u{n % 3}", f"{n}", START) for n in range(20)))
    (workspace.landing / "quorum" / "hostile.jsonl").write_bytes(b"\n".join(each.content for each in landed))
    for text in texts[:FOLDERS]:
        name = f"tenant={quote(text, safe='')}/{quote(text, safe=' ;()')}.jsonl"
        worlds.land(workspace, name, [event("", "u", "e", START)])
    worlds.run(workspace)
    return Night(workspace, landed, folder)


def test_each_line_ends_where_it_should(night: Night) -> None:
    found = lines(night.workspace, "quorum/hostile.jsonl")
    wrong = {
        number: (each.content[:200], found.get(number), each.ending)
        for number, each in enumerate(night.lines, start=1)
        if found.get(number) != each.ending
    }
    assert not wrong


def test_the_rows_of_each_file_add_up(night: Night) -> None:
    columns = "rows_read, accepted_rows + duplicate_rows + quarantined_rows"
    accounts = worlds.fetch(night.workspace, "restricted", f"select {columns} from gov_landing_accounting")
    assert len(accounts) == 2 + FOLDERS
    assert all(read == ended for read, ended in accounts)


def test_each_tenant_is_itself(night: Night) -> None:
    counts = Counter(each.tenant for each in night.lines if each.ending == "accepted")
    counts.update([BYSTANDER] * 20)
    counts.update(statements(night.folder / "canary")[:FOLDERS])
    found = worlds.rows_by_tenant(night.workspace, "select tenant_key, count(*) from int_events group by tenant_key")
    assert {tenant: rows[0][0] for tenant, rows in found.items()} == counts


def test_each_key_is_itself(night: Night) -> None:
    found = worlds.fetch(night.workspace, "restricted", "select distinct property from gov_properties")
    assert {(text,) for text in [*statements(night.folder / "canary"), *ODD]} <= set(found)


def test_nothing_of_it_is_executed(night: Night) -> None:
    assert not list(night.folder.iterdir())


def test_nobody_else_is_harmed(night: Night, tmp_path: Path) -> None:
    alone = worlds.sibling(night.workspace, tmp_path, keep=lambda file: file.name == "bystander.jsonl")
    worlds.build(alone, only=[*RELATIONS])
    before, after = relations(alone), relations(night.workspace)
    assert len(before["int_events"][BYSTANDER]) == 20
    for relation in RELATIONS:
        assert after[relation].get(BYSTANDER) == before[relation].get(BYSTANDER), relation
