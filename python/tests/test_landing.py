"""Lines in: every line is a row, whatever it holds and wherever a chunk ends."""

import gzip
import os
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorum import landing
from quorum.errors import BadInput

LINE = st.one_of(
    st.binary(max_size=40).filter(lambda line: b"\n" not in line),
    st.text(max_size=20).map(lambda text: text.replace("\n", " ").encode()),
    st.just(b""),
    st.just(b"  \t"),
    st.just(b'{"a": "\xff"}'),
    st.integers(15, 60).map(lambda size: b"x" * size),
)


@pytest.fixture
def ledger() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    landing.prepare(connection)
    return connection


@given(lines=st.lists(LINE, max_size=30), chunk=st.integers(1, 50), newline=st.booleans())
def test_each_line_is_one_row(lines: list[bytes], chunk: int, newline: bool) -> None:
    """Against a plain reading, with chunks and limits so small that every border is met."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landing, "CHUNK_BYTES", chunk)
        patch.setattr(landing, "MAX_LINE_BYTES", 30)
        path = Path(os.environ.get("TMPDIR", "/tmp")) / f"lines-{os.getpid()}.jsonl"  # noqa: S108
        path.write_bytes(b"\n".join(lines) + (b"\n" if newline else b""))
        source = landing.Source(path, "quorum/lines.jsonl", "quorum", None)
        try:
            with path.open("rb") as stream:
                read = [row for first, some in landing._chunks(stream) for row in _rows(source, first, some)]
        finally:
            path.unlink()
    assert read == [row for number, line in enumerate(lines, start=1) if (row := _expected(number, line))]


def _rows(source: landing.Source, first: int, lines: list[bytes]) -> list[tuple[int, str | None, str | None]]:
    rows = landing._rows(source, "digest", first, lines).to_pylist()
    return [(row["landing_row"], row["line"], row["defect"]) for row in rows]


def _expected(number: int, line: bytes) -> tuple[int, str | None, str | None] | None:
    if len(line) > 30:
        return number, None, "oversized"
    try:
        text, defect = line.decode(), None
    except UnicodeDecodeError:
        text, defect = line.decode("utf-8", "replace"), "unparsable"
    return (number, text, defect) if text.strip() else None


def test_a_file_is_read_once_and_a_changed_one_is_refused(tmp_path: Path, ledger: duckdb.DuckDBPyConnection) -> None:
    file = tmp_path / "quorum" / "tenant=a%40b" / "one.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text('{"a": 1}\n{"a": 2}\n')
    assert landing.load(ledger, tmp_path, ["quorum"]) == []
    file.with_name("copy.jsonl.gz").write_bytes(gzip.compress(b"{}\n"))
    file.with_name("same.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    assert landing.load(ledger, tmp_path, ["quorum"]) == []
    counts = "select count(*), count(distinct landing_file), min(folder_tenant) from landing_rows"
    assert ledger.execute(counts).fetchone() == (3, 2, "a@b")
    file.write_text('{"a": 1}\n{"a": 3}\n{}\n')
    (problem,) = landing.load(ledger, tmp_path, ["quorum"])
    assert "its content changed" in str(problem)
    assert ledger.execute(counts).fetchone() == (3, 2, "a@b")


def test_a_file_that_fails_half_way_leaves_no_row(tmp_path: Path, ledger: duckdb.DuckDBPyConnection) -> None:
    file = tmp_path / "quorum" / "cut.jsonl.gz"
    file.parent.mkdir()
    whole = gzip.compress(os.urandom(1 << 20).hex().replace("0", "\n").encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landing, "CHUNK_BYTES", 1000)
        for size in (0, 5, len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:size])
            (problem,) = landing.load(ledger, tmp_path, ["quorum"])
            assert "waits for the next run" in str(problem)
            assert ledger.execute("select count(*) from landing_rows").fetchone() == (0,)
    file.write_bytes(whole)
    assert landing.load(ledger, tmp_path, ["quorum"]) == []
    read = ledger.execute("select (select count(*) from landing_rows), rows_read from landing_files").fetchone()
    assert read
    assert read[0] == read[1] > 1000


def test_a_folder_of_no_known_format_is_refused(tmp_path: Path, ledger: duckdb.DuckDBPyConnection) -> None:
    (tmp_path / "segmnt").mkdir()
    with pytest.raises(BadInput, match="known format"):
        landing.load(ledger, tmp_path, ["quorum", "segment"])
