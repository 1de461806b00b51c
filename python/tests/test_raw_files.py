"""Raw files in: each line or record is a row, whatever it holds and wherever a chunk ends."""

import csv
import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quorum import csv_records, json_lines, raw_files, raw_rows
from quorum.raw_files import Unusable

Row = tuple[int, str | None, str | None]
LIMIT = 30

LINE = st.one_of(
    st.binary(max_size=40).filter(lambda line: b"\n" not in line),
    st.text(max_size=20).map(lambda text: text.replace("\n", " ").encode()),
    st.sampled_from([b"", b"  \t", b'{"a": "\xff"}', b'{"a": 1}', b'{"a": 1', "\u2003\x1f".encode()]),
    st.integers(15, 60).map(lambda size: b"x" * size),
    st.integers(15, 60).map(lambda size: b"\x80" * size),
)
CSV_TEXT = st.one_of(
    st.text('",\nx', max_size=80).map(str.encode),
    st.lists(
        st.one_of(
            st.sampled_from([b'"', b",", b"\n", b"\r\n", b"\r", b"\xff", b"\0", b'a,"b\n"\n', b'"' * 40]),
            st.integers(1, 60).map(lambda size: b"x" * size),
            st.text(max_size=5).map(str.encode),
        ),
        max_size=30,
    ).map(b"".join),
)


def split(text: bytes, size: int) -> list[bytes]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def listed(tables: object) -> list[Row]:
    """Return the rows of tables."""
    return [(row["landing_row"], row["line"], row["defect"]) for table in tables for row in table.to_pylist()]  # type: ignore[attr-defined]


def written(folder: Path, name: str, content: bytes) -> Path:
    file = folder / name
    file.write_bytes(content)
    return file


def rows(folder: Path, name: str, content: bytes) -> list[Row]:
    """Return the rows of a file of this content."""
    return listed(raw_files.read(written(folder, name, content)))


def told(folder: Path, name: str, content: bytes) -> str:
    """Return why a file of this content cannot be taken."""
    with pytest.raises(Unusable) as unusable:
        rows(folder, name, content)
    return str(unusable.value)


@given(lines=st.lists(LINE, max_size=30), chunk=st.integers(1, 50), newline=st.booleans())
def test_each_line_is_one_row(lines: list[bytes], chunk: int, newline: bool) -> None:
    """Against a plain reading, with chunks and limits so small that every border is met."""
    text = b"\n".join(lines) + (b"\n" if newline else b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw_rows, "MAX_LINE_BYTES", LIMIT)
        read = listed(json_lines.read(split(text, chunk), end_is_sure=True))
    assert read == [row for number, line in enumerate(lines, start=1) if (row := line_row(number, line))]


def line_row(number: int, line: bytes) -> Row | None:
    if len(line) > LIMIT:
        return number, None, "oversized"
    try:
        text, defect = line.decode(), None
    except UnicodeDecodeError:
        text, defect = line.decode("utf-8", "replace"), "unparsable"
    return (number, text, defect) if text.strip() else None


@example(text=b'"' * 21 + b'\n",\n', chunk=1, limit=4)
@given(text=CSV_TEXT, chunk=st.integers(1, 8), limit=st.integers(4, 12))
def test_each_record_is_one_row(text: bytes, chunk: int, limit: int) -> None:
    """Against an automaton that takes a byte at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw_rows, "MAX_LINE_BYTES", limit)
        read = listed(csv_records.read(split(b"a,b\n" + text, chunk), end_is_sure=True))
    expected = [record_row(number, record, limit) for number, record in enumerate(records(text), start=1)]
    assert read == [row for row in expected if row]


def records(text: bytes) -> list[bytes]:
    found, record, state = [], b"", "start"
    for byte in (bytes([code]) for code in text):
        record += byte
        if state == "start" and byte == b'"':
            state = "quoted"
        elif state == "quoted":
            state = "quote" if byte == b'"' else "quoted"
        elif state == "quote" and byte == b'"':
            state = "quoted"
        elif byte == b"\n":
            found.append(record)
            record, state = b"", "start"
        else:
            state = "start" if byte == b"," else "plain"
    return [*found, record] if record else found


def record_row(number: int, record: bytes, limit: int) -> Row | None:
    if len(record) > limit:
        return number, None, "oversized"
    line = record.removesuffix(b"\n").removesuffix(b"\r")
    try:
        fields = next(csv.reader([line.decode()], strict=True)) if line else []
    except (UnicodeDecodeError, csv.Error):
        fields = None
    if fields == []:
        return None
    if fields is None or len(fields) != 2:
        return number, line.decode("utf-8", "replace"), "unparsable"
    filled = {name: field for name, field in zip("ab", fields, strict=True) if field}
    return number, json.dumps(filled, ensure_ascii=False, separators=(",", ":")), None


VALUE = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(table=st.lists(st.lists(VALUE, min_size=3, max_size=3), max_size=10), chunk=st.integers(1, 50))
def test_what_a_writer_of_csv_wrote_comes_back(table: list[list[str]], chunk: int) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["x", "y", "z"], *table])
    read = listed(csv_records.read(split(text.getvalue().encode(), chunk), end_is_sure=False))
    expected = [{name: value for name, value in zip("xyz", record, strict=True) if value} for record in table]
    assert [(number, json.loads(line or ""), defect) for number, line, defect in read] == [
        (number, record, None) for number, record in enumerate(expected, start=1)
    ]


@pytest.mark.parametrize("suffix", ["jsonl", "ndjson", "json", "csv"])
def test_kinds_are_told_by_name(suffix: str, tmp_path: Path) -> None:
    content = b"a\n1\n" if suffix == "csv" else b'{"a":"1"}\n'
    assert rows(tmp_path, f"file.{suffix}", content) == [(1, '{"a":"1"}', None)]
    assert rows(tmp_path, f"file.{suffix}.gz", gzip.compress(content)) == [(1, '{"a":"1"}', None)]
    assert {f".{suffix}", f".{suffix}.gz", ".parquet"} < set(raw_files.SUFFIXES)


CUT_SHORT = "waits for the next run, its last line is cut short"


def test_a_text_that_ends_amid_a_line_waits(tmp_path: Path) -> None:
    for cut in (b'{}\n{"a": 1', b'{}\n{"a": "\xc3', b"x" * 2**21, b'{"a": 1}}'):
        assert told(tmp_path, "cut.jsonl", cut) == CUT_SHORT
        assert rows(tmp_path, "whole.jsonl", cut + b"\n")
        assert rows(tmp_path, "whole.jsonl.gz", gzip.compress(cut))
    for cut in (b"a,b\n1", b'a,b\n1,"2', b'a,b\n1,"2\n', b"a,b", b"a,b\n1,\xc3"):
        assert told(tmp_path, "cut.csv", cut) == CUT_SHORT
        assert len(rows(tmp_path, "whole.csv.gz", gzip.compress(cut))) == (cut != b"a,b")
    for whole in (b"a,b\n1,2", b"a,b\n1,2,3", b"a,b\r\n1,2\r\n"):
        assert len(rows(tmp_path, "whole.csv", whole)) == 1
    for whole in (b'{"a": 1}', b"{}\n  ", b"{}\r\n"):
        assert len(rows(tmp_path, "whole.jsonl", whole)) == 1


def test_a_gzip_stream_that_is_not_whole_waits(tmp_path: Path) -> None:
    one, two = gzip.compress(b'{"a": 1}\n'), gzip.compress(b'{"a": 2}\n')
    assert [line for _, line, _ in rows(tmp_path, "members.jsonl.gz", one + two)] == ['{"a": 1}', '{"a": 2}']
    cut_short, damaged = (f"waits for the next run, its gzip stream is {what}" for what in ("cut short", "damaged"))
    for size in range(1, len(two)):
        assert told(tmp_path, "cut.jsonl.gz", one + two[:size]) in (cut_short, damaged)
    assert told(tmp_path, "cut.jsonl.gz", one[:-9]) == cut_short
    assert told(tmp_path, "trailing.jsonl.gz", one + b"{}") == damaged
    assert told(tmp_path, "crc.jsonl.gz", one[:-8] + bytes(4) + one[-4:]) == damaged
    assert told(tmp_path, "size.jsonl.gz", one[:-4] + bytes(4)) == damaged
    assert told(tmp_path, "plain.csv.gz", b"a\n1\n") == damaged


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    for suffix in raw_files.SUFFIXES:
        assert told(tmp_path, f"empty{suffix}", b"") == "waits for the next run, it is empty"
        with pytest.raises(Unusable, match=r"^cannot be read: No such file or directory$"):
            listed(raw_files.read(tmp_path / f"ada@leak.example{suffix}"))


HEADERS = {
    "none": b"",  # an empty text, packed
    "a blank line": b"\n1\n",
    "an empty name": b"a,,b\n1,2,3\n",
    "a name twice": b"secret,secret\n1,2\n",
    "no UTF-8": b"a,\xff\n1,2\n",
    "an open quote": b'a,"b\n1,2\n',
    "UTF-16": "a,b\n1,2\n".encode("utf-16"),
    "UTF-16 without a mark": "a,b\n1,2\n".encode("utf-16-le"),
    "an oversized one": b"a," + b"b" * 2**20 + b"\n1,2\n",
}


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_names_each_column(header: str, tmp_path: Path) -> None:
    why = "waits for the next run, its first line does not give each column a name of its own in UTF-8"
    assert told(tmp_path, "file.csv.gz", gzip.compress(HEADERS[header])) == why


def test_records_of_csv(tmp_path: Path) -> None:
    text = (
        '\ufeff"a","b ""c"""\r\n1,"two\r\nlines, ""quoted"""\r\n\r\n,\r\n3,5" disk\r\n4\r\n5,6,7\r\n"8"x,9\r\n10,\u2028'
    )
    assert rows(tmp_path, "file.csv", text.encode()) == [
        (1, r'{"a":"1","b \"c\"":"two\r\nlines, \"quoted\""}', None),
        (3, "{}", None),
        (4, r'{"a":"3","b \"c\"":"5\" disk"}', None),
        (5, "4", "unparsable"),
        (6, "5,6,7", "unparsable"),
        (7, '"8"x,9', "unparsable"),
        (8, '{"a":"10","b \\"c\\"":"\u2028"}', None),
    ]
