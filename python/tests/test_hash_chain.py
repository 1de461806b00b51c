import json
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.errors import BadInput
from quorum.hash_chain import GENESIS, ChainBroken, ChainedLog, Entry, canonical, check, link, salt

Lines = list[bytes]


@pytest.fixture
def log(tmp_path: Path) -> ChainedLog:
    log = ChainedLog(tmp_path / "audit.jsonl")
    for number in range(5):
        log.append("run", number=number, note="Zürich\n")
    return log


def edit(lines: Lines) -> None:
    lines[2] = lines[2].replace(b'"number":2', b'"number":3')


def edit_and_rehash(lines: Lines) -> None:
    """Forge one entry as somebody can who knows the format."""
    fields = json.loads(lines[2])
    lines[2] = Entry.after(Entry(**json.loads(lines[1])), "run", {**fields["facts"], "number": 3}).line()


def delete(lines: Lines) -> None:
    del lines[2]


def swap(lines: Lines) -> None:
    lines[2], lines[3] = lines[3], lines[2]


def repeat(lines: Lines) -> None:
    lines.insert(2, lines[1])


def shorten(lines: Lines) -> None:
    lines[2] = lines[2][:20]


def respace(lines: Lines) -> None:
    lines[2] = json.dumps(json.loads(lines[2])).encode()


def give_a_key_twice(lines: Lines) -> None:
    lines[2] = lines[2].replace(b'{"facts":', b'{"facts":{},"facts":', 1)


def put_nan(lines: Lines) -> None:
    lines[2] = lines[2].replace(b'"number":2', b'"number":NaN')


TAMPERINGS = [
    (edit, 3),
    (edit_and_rehash, 4),  # entry 3 is sound again, so entry 4 is the first that does not fit
    (delete, 3),
    (swap, 3),
    (repeat, 3),
    (shorten, 3),
    (respace, 3),
    (give_a_key_twice, 3),
    (put_nan, 3),
]


@pytest.mark.parametrize(("tamper", "first_bad"), TAMPERINGS, ids=lambda value: getattr(value, "__name__", None))
def test_tampering_is_found_where_it_is(log: ChainedLog, tamper: Callable[[Lines], None], first_bad: int) -> None:
    assert log.verify() == 5
    lines = log.path.read_bytes().splitlines()
    tamper(lines)
    log.path.write_bytes(b"".join(line + b"\n" for line in lines))
    with pytest.raises(ChainBroken, match=rf"^audit\.jsonl: entry {first_bad} ") as caught:
        log.verify()
    assert caught.value.seq == first_bad


def test_entries_read_back_as_appended(log: ChainedLog) -> None:
    appended = log.append("publish", release="r1", tenants=["a", "b"])
    assert log.records()[-1] == appended
    assert [entry.seq for entry in log.records()] == [1, 2, 3, 4, 5, 6]
    assert log.records()[0].previous == GENESIS


def test_an_absent_log_is_empty(tmp_path: Path) -> None:
    assert ChainedLog(tmp_path / "none.jsonl").verify() == 0


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_torn_line_is_cut_off_and_reported(log: ChainedLog, kept: int) -> None:
    whole = log.path.read_bytes()
    torn = log.records()[-1].line()[:kept]
    log.path.write_bytes(whole + torn)
    assert log.verify() == 5, "a line that was never acknowledged is not part of the chain"
    log.append("run", number=6)
    recovered, appended = log.records()[5:]
    assert (recovered.kind, recovered.facts) == ("recovered", {"dropped_bytes": len(torn)})
    assert appended.facts == {"number": 6}
    assert log.verify() == 7
    assert log.path.read_bytes().startswith(whole)


def test_a_torn_first_line_is_recovered(tmp_path: Path) -> None:
    log = ChainedLog(tmp_path / "audit.jsonl")
    log.path.write_bytes(b'{"facts"')
    log.append("run")
    assert [entry.kind for entry in log.records()] == ["recovered", "run"]
    assert log.verify() == 2


def test_nothing_is_appended_to_an_unreadable_entry(log: ChainedLog) -> None:
    with log.path.open("ab") as file:
        file.write(b"scribble\n")
    before = log.path.read_bytes()
    with pytest.raises(ChainBroken, match="entry 6 cannot be read"):
        log.append("run")
    assert log.path.read_bytes() == before


def append_many(path: Path, writer: int) -> None:
    for number in range(20):
        ChainedLog(path).append("run", writer=writer, number=number)


def test_processes_append_to_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=append_many, args=(path, writer)) for writer in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert ChainedLog(path).verify() == 80


def test_equal_records_get_unequal_hashes(tmp_path: Path) -> None:
    logs = [ChainedLog(tmp_path / name) for name in ("a", "b")]
    first, second = (log.append("run", number=1) for log in logs)
    assert first.facts == second.facts
    assert first.hash != second.hash, "a published hash must not let anybody test a guess"
    assert len({salt() for _ in range(100)}) == 100


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(json_values)
def test_canonical_form_is_a_fixed_point(value: object) -> None:
    assert canonical(json.loads(canonical(value))) == canonical(value)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcd"), json_values, min_size=2))
def test_key_order_does_not_matter(record: dict[str, object]) -> None:
    turned = dict(reversed(record.items()))
    assert link(GENESIS, turned) == link(GENESIS, record)
    assert link("1" * 64, record) != link(GENESIS, record)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", object(), "\ud800", {1, 2}])
def test_only_plain_json_can_be_chained(log: ChainedLog, value: object) -> None:
    with pytest.raises(BadInput, match="plain JSON"):
        log.append("run", value=value)
    assert log.verify() == 5


def test_check_names_the_chain_and_keeps_sound_entries() -> None:
    first = Entry.after(None, "create", {})
    second = Entry.after(first, "run", {})
    assert check([first, second], "ledger") == [first, second]
    with pytest.raises(ChainBroken, match=r"^ledger: entry 1 "):
        check([second], "ledger")


def test_a_gap_in_the_numbers_is_found_even_if_the_hashes_fit() -> None:
    first = Entry.after(None, "create", {})
    third = Entry.after(replace(first, seq=2), "run", {})
    with pytest.raises(ChainBroken, match="entry 2 is missing or out of order"):
        check([first, third], "ledger")
