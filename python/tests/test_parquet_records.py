"""Parquet in: what its types become, and what JSON cannot hold."""

import datetime
import decimal
import errno
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quorum import raw_files, raw_rows
from quorum.raw_files import Unusable
from tests.test_raw_files import listed, told


def parquet(folder: Path, columns: dict[str, pa.Array], **options: object) -> Path:
    file = folder / "file.parquet"
    pq.write_table(pa.table(columns), file, **options)
    return file


def test_values_of_parquet(tmp_path: Path) -> None:
    moment = datetime.datetime(2025, 1, 2, 3, 4, 5, 678000)
    digits = decimal.Decimal("12345678901234567890.120000000")
    struct = pa.struct([("B", pa.list_(pa.int64())), ("d", pa.string())])
    columns = {
        "text": pa.array(['a "quoted"\n\0\U0001f600', None]),
        "Text": pa.array(["other", None]),
        "k\"e'y": pa.array([True, None]),
        "big": pa.array([2**64 - 1, None], pa.uint64()),
        "double": pa.array([0.1, None]),
        "decimal": pa.array([digits, None], pa.decimal128(38, 9)),
        "date": pa.array([moment.date(), None]),
        "local": pa.array([moment, None], pa.timestamp("ms")),
        "zoned": pa.array([moment, None], pa.timestamp("us", "Europe/Rome")),
        "nanoseconds": pa.array([moment, None], pa.timestamp("ns", "UTC")),
        "nested": pa.array([{"B": [1, None], "d": None}, None], struct),
        "map": pa.array([[("x", 1.5)], None], pa.map_(pa.string(), pa.float64())),
        "words": pa.array(["word", None]).dictionary_encode(),
        "bytes": pa.array(["née".encode(), None], pa.binary()),
        "json": pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"p": 1}, "text": 2', None])),
        "none": pa.nulls(2),
    }
    first, second = listed(raw_files.read(parquet(tmp_path, columns)))
    assert second == (2, "{}", None)
    assert first[::2] == (1, None)
    assert json.loads(first[1] or "", parse_float=decimal.Decimal) == {
        "text": 'a "quoted"\n\0\U0001f600',
        "Text": "other",
        "k\"e'y": True,
        "big": 2**64 - 1,
        "double": decimal.Decimal("0.1"),
        "decimal": digits,
        "date": "2025-01-02",
        "local": "2025-01-02 03:04:05.678",
        "zoned": "2025-01-02 03:04:05.678+00",
        "nanoseconds": "2025-01-02 03:04:05.678+00",
        "nested": {"B": [1, None], "d": None},
        "map": {"x": decimal.Decimal("1.5")},
        "words": "word",
        "bytes": "née",
        "json": '{"p": 1}, "text": 2',
    }


LOST = {
    "not a number": pa.array([0.5, float("nan"), None]),
    "infinity": pa.array([0.5, float("-inf"), None], pa.float32()),
    "nested": pa.array([[{"x": 1.0}], [{"x": float("inf")}], None]),
    "bytes": pa.array([b"NaN", b"\xff", None], pa.binary()),
    "fixed bytes": pa.array([b"ab", b"a\xff", None], pa.binary(2)),
    "text": pa.Array.from_buffers(pa.string(), 3, pa.array([b"ab", b"a\xff", None]).buffers()),
    "nested bytes": pa.array([[], [b"a"], None]),
}


@pytest.mark.parametrize("kind", LOST)
def test_a_value_that_json_cannot_hold_is_told(kind: str, tmp_path: Path) -> None:
    columns = {"lost": LOST[kind], "text": pa.array(["NaN", "Infinity", "NaN"])}
    defects = [defect for _, _, defect in listed(raw_files.read(parquet(tmp_path, columns)))]
    assert defects == ([None, "unparsable", None] if kind != "nested bytes" else ["unparsable", "unparsable", None])


def test_records_of_parquet_are_numbered_over_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_rows, "CHUNK_BYTES", 3_000)
    lengths = [*range(100), 2**20, 5]
    file = parquet(tmp_path, {"a": pa.array(["x" * length for length in lengths])}, row_group_size=40)
    assert listed(raw_files.read(file)) == [
        (number, None, "oversized")
        if length == 2**20
        else (number, json.dumps({"a": "x" * length}).replace(" ", ""), None)
        for number, length in enumerate(lengths, start=1)
    ]


def test_what_is_no_parquet_waits(tmp_path: Path) -> None:
    whole = parquet(
        tmp_path, {"a": pa.array(["secret"] * 1000)}, write_page_checksum=True, compression="none"
    ).read_bytes()
    not_whole = "waits for the next run, it is no whole Parquet file"
    for content in (b"secret", whole[:-1], whole[:100], whole[100:], whole[:30] + b"zz" + whole[32:], bytes(1000)):
        assert told(tmp_path, "broken.parquet", content) == not_whole
    unnamed = "waits for the next run, it does not give each column a name of its own"
    for names in ([], ["secret", "secret"]):
        pq.write_table(pa.table([pa.array([1])] * len(names), names=names), tmp_path / "names.parquet")
        with pytest.raises(Unusable, match=f"^{unnamed}$"):
            listed(raw_files.read(tmp_path / "names.parquet"))
    strange = {"twice": pa.array([[("secret", 1), ("secret", 2)]], pa.map_(pa.string(), pa.int64()))}
    with pytest.raises(Unusable, match=r"^waits for the next run, its columns are of types that JSON cannot hold$"):
        listed(raw_files.read(parquet(tmp_path, strange)))


def test_an_error_of_pyarrow_does_not_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(file: Path) -> None:
        raise OSError(errno.EIO, f"Failed to read '{file}'")

    monkeypatch.setattr(pq, "read_schema", fail)
    assert told(tmp_path, "ada@leak.example.parquet", b"PAR1") == "cannot be read: Input/output error"
