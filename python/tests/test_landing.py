"""Files in: each content once, whole or not at all."""

import gzip
import os
from collections.abc import Collection
from pathlib import Path

import duckdb
import pytest

from quorum import landing, raw_rows
from quorum.errors import BadInput


@pytest.fixture
def ledger() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    landing.prepare(connection)
    return connection


def load(ledger: duckdb.DuckDBPyConnection, root: Path, *formats: str, rewriting: Collection[str] = ()) -> list[str]:
    """Take in what is new; return what is said about the others."""
    taken = landing.Landing(ledger, root, batch_rows=1000, rewriting=rewriting)
    taken.load(list(formats) or ["quorum"])
    return [str(problem) for problem in taken.problems]


def test_a_file_is_read_once_and_a_changed_one_is_refused(tmp_path: Path, ledger: duckdb.DuckDBPyConnection) -> None:
    file = tmp_path / "quorum" / "tenant=a%40b" / "one.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text('{"a": 1}\n{"a": 2}\n')
    assert load(ledger, tmp_path) == []
    file.with_name("copy.jsonl.gz").write_bytes(gzip.compress(b"{}\n"))
    file.with_name("same.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    assert load(ledger, tmp_path) == []
    counts = "select count(*), count(distinct landing_file), min(folder_tenant) from landing_rows"
    assert ledger.execute(counts).fetchone() == (3, 2, "a@b")
    file.write_text('{"a": 1}\n{"a": 3}\n{}\n')
    (problem,) = load(ledger, tmp_path)
    assert "its content changed" in problem
    assert ledger.execute(counts).fetchone() == (3, 2, "a@b")


def test_a_file_that_fails_half_way_leaves_no_row(tmp_path: Path, ledger: duckdb.DuckDBPyConnection) -> None:
    file = tmp_path / "quorum" / "cut.jsonl.gz"
    file.parent.mkdir()
    whole = gzip.compress(os.urandom(1 << 20).hex().replace("0", "\n").encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw_rows, "CHUNK_BYTES", 1000)
        for size in (0, 5, len(whole) // 2, len(whole) - 1):
            file.write_bytes(whole[:size])
            (problem,) = load(ledger, tmp_path)
            assert "waits for the next run" in problem
            assert ledger.execute("select count(*) from landing_rows").fetchone() == (0,)
    file.write_bytes(whole)
    assert load(ledger, tmp_path) == []
    read = ledger.execute("select (select count(*) from landing_rows), rows_read from landing_files").fetchone()
    assert read
    assert read[0] == read[1] > 1000


def test_a_folder_of_no_known_format_is_refused(tmp_path: Path, ledger: duckdb.DuckDBPyConnection) -> None:
    (tmp_path / "segmnt").mkdir()
    with pytest.raises(BadInput, match="known format"):
        load(ledger, tmp_path, "quorum", "segment")
