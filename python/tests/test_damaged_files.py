"""Flipped bits, cuts and hostile content never give a wrong row in silence, nor a reader that grows without bound."""

import gzip
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quorum import raw_files
from quorum.checksums import Checksums, integrity
from quorum.raw_files import Unusable

Row = tuple[int, str | None, str | None]

FLIPS, CUTS = 60, 15
OFTEN = [1, pytest.param(4, marks=pytest.mark.soak)]  # as many damages, and times as many
USERS, VALUES = [f"user-{number * 7919 % 1000:03}" for number in range(150)], list(range(1000, 1150))
JSON_LINES = "".join(f'{{"user_id":"{user}","value":{value}}}\n' for user, value in zip(USERS, VALUES, strict=True))
CSV = "user_id,value\n" + "".join(f"{user},{value}\n" for user, value in zip(USERS, VALUES, strict=True))


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"user_id": USERS, "value": VALUES}), sink)
    return sink.getvalue()


CONTENT = {
    "lines.jsonl": JSON_LINES.encode(),
    "lines.jsonl.gz": gzip.compress(JSON_LINES.encode(), mtime=0),
    "records.csv": CSV.encode(),
    "records.csv.gz": gzip.compress(CSV.encode(), mtime=0),
    "records.parquet": parquet(),
}


def rows(file: Path) -> list[Row]:
    """Return the rows of a file, checked as its folder asks for."""
    checksums = Checksums.at(file.parent)
    if checksums is not None:
        checksums.check(file.name, hashlib.sha256(file.read_bytes()).hexdigest())
    return [
        (row["landing_row"], row["line"], row["defect"]) for table in raw_files.read(file) for row in table.to_pylist()
    ]


def damaged(name: str, often: int) -> Iterator[bytes]:
    content, chance = CONTENT[name], random.Random(name)
    for _ in range(FLIPS * often):
        flipped = bytearray(content)
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        yield bytes(flipped)
    for _ in range(CUTS * often):
        yield content[: chance.randrange(len(content))]


def taken_wrongly(folder: Path, name: str, often: int) -> int:
    """Return how many damaged files give rows that differ from those that were sent, and no defect says so."""
    file = folder / name
    file.write_bytes(CONTENT[name])
    sent, wrong = rows(file), 0
    assert len(sent) == len(USERS)
    for content in damaged(name, often):
        file.write_bytes(content)
        try:
            read = rows(file)
        except Unusable:
            continue
        differing = [row for row, original in zip(read, sent, strict=False) if row != original]
        wrong += len(read) != len(sent) or any(defect is None for _, _, defect in differing)
    return wrong


def unchecked(_checksums: Checksums, _name: str, _digest: str) -> None:
    """Take a file whatever its checksum."""


def unpacked(file: Path) -> io.BytesIO:
    """Unpack gzip as far as it goes, whatever the checksum at its end."""
    return io.BytesIO(zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read_bytes()[10:]))


@pytest.mark.parametrize("often", OFTEN)
@pytest.mark.parametrize("name", CONTENT)
def test_no_damage_passes_a_manifest(name: str, often: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(CONTENT[name]).hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{digest}  {name}\n")
    assert integrity(tmp_path / name, Checksums.at(tmp_path)) == "manifest"
    assert taken_wrongly(tmp_path, name, often) == 0
    if not name.endswith(".gz"):
        monkeypatch.setattr(Checksums, "check", unchecked)
        assert taken_wrongly(tmp_path, name, often) > 10


@pytest.mark.parametrize("often", OFTEN)
@pytest.mark.parametrize("name", [name for name in CONTENT if name.endswith(".gz")])
def test_no_damage_passes_gzip(name: str, often: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert integrity(tmp_path / name, Checksums.at(tmp_path)) == "gzip"
    assert taken_wrongly(tmp_path, name, often) == 0
    monkeypatch.setattr(gzip, "open", unpacked)
    assert taken_wrongly(tmp_path, name, often) > 10


@pytest.mark.parametrize("often", OFTEN)
@pytest.mark.parametrize("name", [name for name in CONTENT if not name.endswith(".gz")])
def test_where_damage_may_pass_it_is_said(name: str, often: int, tmp_path: Path) -> None:
    assert integrity(tmp_path / name, Checksums.at(tmp_path)) == "none"
    assert taken_wrongly(tmp_path, name, often) > 10


HOSTILE_LINES = {
    "NUL": b'{"a":"\0"}',
    "a lone surrogate": b'{"a":"\\ud800"}',
    "ten thousand keys": json.dumps({f"key {number}": number for number in range(10_000)}).encode(),
    "depth 1,000": b"[" * 1_000 + b"]" * 1_000,
    "depth 100,000": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "other line ends": '{"a":"\x0b\x0c\x85\u2028\u2029"}\r'.encode(),
    "a carriage return": b'{"a":1}\r{"a":2}',
}


@pytest.mark.parametrize("case", HOSTILE_LINES)
def test_a_hostile_line_is_one_row_as_it_stands(case: str, tmp_path: Path) -> None:
    line = HOSTILE_LINES[case]
    file = tmp_path / "hostile.jsonl"
    file.write_bytes(line + b"\n{}\n")
    assert rows(file) == [(1, line.decode(), None), (2, "{}", None)]
    if case.startswith("depth"):
        file.write_bytes(line)  # whole, without a line end
        assert rows(file) == [(1, line.decode(), None)]


def test_what_is_no_utf8_or_too_long_carries_a_defect(tmp_path: Path) -> None:
    long = b"x" * 10_000_000
    surrogate = b'{"a":"\xed\xa0\x80"}'
    (tmp_path / "a.jsonl").write_bytes(b'{"a":"' + long + b'"}\n' + surrogate + b"\n{}\n")
    assert rows(tmp_path / "a.jsonl") == [
        (1, None, "oversized"),
        (2, '{"a":"\ufffd\ufffd\ufffd"}', "unparsable"),
        (3, "{}", None),
    ]
    (tmp_path / "a.csv").write_bytes(b'a,b\n1,"' + long + b'\n"",\n"\n2,\xed\xa0\x80\n3,\0\n"' + long + b'"\n5,6\n')
    assert rows(tmp_path / "a.csv") == [
        (1, None, "oversized"),
        (2, "2,\ufffd\ufffd\ufffd", "unparsable"),
        (3, '{"a":"3","b":"\\u0000"}', None),
        (4, None, "oversized"),
        (5, '{"a":"5","b":"6"}', None),
    ]
    pq.write_table(pa.table({"a": [long.decode(), "\0"]}), tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet") == [(1, None, "oversized"), (2, '{"a":"\\u0000"}', None)]


def test_utf16_is_never_taken_for_good_rows(tmp_path: Path) -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress('{"a":"é"}\n{"a":1}\n'.encode(encoding)))
        lines = [line for _, line, defect in rows(tmp_path / "a.jsonl.gz") if defect is None]
        assert not any(line and line.startswith("{") and "\0" not in line for line in lines)
        (tmp_path / "a.csv").write_bytes("a,b\n1,2\n".encode(encoding))
        with pytest.raises(Unusable):
            rows(tmp_path / "a.csv")


def test_a_wide_file_is_read(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(4_000)]
    (tmp_path / "a.csv").write_text(",".join(names) + "\n" + ",".join("1" * len(names)) + "\n")
    pq.write_table(pa.table([pa.array(["1"])] * len(names), names=names), tmp_path / "a.parquet")
    for file in ("a.csv", "a.parquet"):
        [(_, line, defect)] = rows(tmp_path / file)
        assert (json.loads(line or ""), defect) == (dict.fromkeys(names, "1"), None)


MEGABYTES = 120
READ_ALL = """
import resource, sys
from pathlib import Path
from quorum import raw_files
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print([row for table in raw_files.read(Path(sys.argv[1])) for row in table["defect"].to_pylist()][:1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("name", ["line.jsonl.gz", "field.csv.gz", "value.parquet"])
def test_memory_is_bounded(name: str, tmp_path: Path) -> None:
    """One line, one quoted field, or one long value that each record repeats."""
    megabyte, file = b"x" * 2**20, tmp_path / name
    if name.endswith(".parquet"):
        pq.write_table(pa.table({"a": [megabyte.decode()] * MEGABYTES}), file)
    else:
        with gzip.open(file, "wb", compresslevel=1) as stream:
            stream.write(b'a,b\n1,"' if ".csv" in name else b"")
            for _ in range(MEGABYTES):
                stream.write(megabyte)
    command = [sys.executable, "-c", READ_ALL, str(file)]
    here = {**os.environ, "PYTHONPATH": str(Path(raw_files.__file__).parents[1])}
    defects, kilobytes = subprocess.run(command, env=here, capture_output=True, check=True).stdout.splitlines()
    assert defects == b"['oversized']"
    assert int(kilobytes) < 1024 * MEGABYTES
