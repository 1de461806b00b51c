"""Rows taken out of raw files of every kind: these go, and the others stay as they are, where they are."""

import gzip
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quorum import checksums, csv_records, raw_files, raw_rewriting, raw_rows
from quorum.raw_rows import Unusable

Rows = dict[int, tuple[str | None, str | None]]


def read(file: Path) -> Rows:
    tables = raw_files.read(file)
    return {row["landing_row"]: (row["line"], row["defect"]) for table in tables for row in table.to_pylist()}


def rewrite(file: Path, rows: set[int]) -> None:
    written = file.with_name(".new")
    raw_rewriting.write_without(file, rows, written)
    raw_rewriting.put(written, file)


def json_lines(dice: random.Random) -> bytes:
    lines = ['{"a":1}', "", "no json", f'{{"long":"{"x" * 300}"}}', '{"ends":"in two"}\r']
    return "".join(f"{dice.choice(lines)}\n" for _ in range(60)).encode()


def csv_lines(dice: random.Random) -> bytes:
    records = ['"a\nb",1', "", "1,2,3", 'x,"say ""so"""', f'"{"y" * 300}\r\n",2', f"{'z' * 300},3"]
    return ("name,count\r\n" + "".join(dice.choice(records) + dice.choice(["\n", "\r\n"]) for _ in range(60))).encode()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["jsonl", "csv", "jsonl.gz", "csv.gz"])
def test_the_other_rows_stay_where_they_are(
    kind: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oversized rows and chunks that end anywhere included."""
    dice = random.Random(seed)
    monkeypatch.setattr(raw_rows, "MAX_LINE_BYTES", 250)
    monkeypatch.setattr(raw_rows, "CHUNK_BYTES", dice.choice([50, 500, 1 << 16]))
    content = (csv_lines if "csv" in kind else json_lines)(dice)
    file = tmp_path / f"rows.{kind}"
    file.write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
    before = read(file)
    gone = set(dice.sample(sorted(before), len(before) // 3))
    rewrite(file, gone)
    after = read(file)
    assert after == {row: what for row, what in before.items() if row not in gone}
    present = gzip.decompress(file.read_bytes()) if kind.endswith("gz") else file.read_bytes()
    rewrite(file, gone)
    again = gzip.decompress(file.read_bytes()) if kind.endswith("gz") else file.read_bytes()
    assert again == present, "and once more changes nothing"


@pytest.mark.parametrize("size", [1, 5, 1 << 20])
def test_the_pieces_of_a_csv_file_are_all_of_it(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_rows, "MAX_LINE_BYTES", 100)
    content = csv_lines(random.Random(size)) + b'"open'
    chunks = [content[at : at + size] for at in range(0, len(content), size)]
    assert b"".join(piece for _, piece in csv_records.pieces(chunks)) == content


def test_parquet_of_every_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_rewriting, "MAX_ROWS", 100)
    count = 1000
    columns = {
        "user_id": pa.array([f"user-{n}" for n in range(count)]),
        "plan": pa.array([f"plan-{n % 3}" for n in range(count)]).dictionary_encode(),
        "seen": pa.array(
            [{"at": [n, n + 1], "tags": [("a", n)]} for n in range(count)],
            pa.struct([("at", pa.list_(pa.int64())), ("tags", pa.map_(pa.string(), pa.int64()))]),
        ),
        "amount": pa.array([n * 100 for n in range(count)], pa.decimal128(12, 2)),
    }
    table = pa.table(columns)
    table = table.cast(table.schema.set(0, table.schema.field(0).with_nullable(False)))
    file = tmp_path / "rows.parquet"
    pq.write_table(table, file, row_group_size=300, compression="zstd")
    before = read(file)
    gone = {1, 100, 101, 555, count}
    rewrite(file, gone)
    assert read(file) == before | dict.fromkeys(gone, ("{}", None))
    assert pq.ParquetFile(file).metadata.row_group(0).column(0).compression == "ZSTD"
    assert b"user-554" not in file.read_bytes()


def test_a_file_that_is_cut_short_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl.gz"
    file.write_bytes(gzip.compress(b'{"a":1}\n' * 1000)[:-9])
    with pytest.raises(Unusable):
        raw_rewriting.write_without(file, {1}, tmp_path / ".new")


def test_a_listed_file_is_listed_anew(tmp_path: Path) -> None:
    digests = {name: name[0] * 64 for name in ("a.csv", "b c.csv", "d.csv")}
    lines = "".join(f"{digest} *{name}\n" for name, digest in digests.items()) + f"\\{'e' * 64}  e\\\\f.csv\n"
    (tmp_path / checksums.NAME).write_text(lines)
    checksums.relist(tmp_path / "b c.csv", "9" * 64)
    checksums.relist(tmp_path / "e\\f.csv", "8" * 64)
    checksums.relist(tmp_path / "a.csv", None)
    checksums.relist(tmp_path / "unlisted.csv", "7" * 64)
    found = checksums.Checksums.at(tmp_path)
    assert found is not None
    assert found.digests == {"b c.csv": "9" * 64, "d.csv": "d" * 64, "e\\f.csv": "8" * 64}
