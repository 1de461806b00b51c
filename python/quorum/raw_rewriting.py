"""Taking rows out of raw files: the others stay, with their numbers, and of these nothing is left.

A blank line or record, or a Parquet record without a value, stands in for each row that goes.
"""

import gzip
import os
import shutil
from collections.abc import Iterator, Set
from contextlib import nullcontext
from pathlib import Path
from typing import IO, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from quorum import csv_records, raw_files, raw_rows
from quorum.raw_rows import Unusable

MAX_ROWS = 1 << 14


def write_without(file: Path, rows: Set[int], target: Path) -> None:
    """Write ``file`` to ``target`` without the rows of these numbers, with the same mode, and see it on the disk.

    Raises ``Unusable`` if the file cannot be read to its end, and OSError.
    """
    try:
        if file.name.endswith(raw_files.PARQUET):
            _rewrite_parquet(file, rows, target)
        else:
            _rewrite_text(file, rows, target)
    except (EOFError, gzip.BadGzipFile, pa.ArrowException):
        raise Unusable("cannot be read to its end") from None
    shutil.copymode(file, target)
    _sync(target)


def put(written: Path, file: Path) -> None:
    """Put a file that was written in the place of another; a crash leaves one of the two."""
    written.replace(file)
    _sync(file.parent)


def remove(file: Path) -> None:
    """Delete a file, and where it is a link, also what it points to."""
    target = file.resolve()
    file.unlink(missing_ok=True)
    target.unlink(missing_ok=True)
    _sync(file.parent)


def _rewrite_text(file: Path, rows: Set[int], target: Path) -> None:
    packed = file.name.endswith(".gz")
    is_csv = file.name.removesuffix(".gz").endswith(raw_files.CSV)
    with (
        cast(IO[bytes], gzip.open(file)) if packed else file.open("rb") as source,
        target.open("wb") as plain,
        # neither name nor time: the same rows make the same bytes
        cast(IO[bytes], gzip.GzipFile("", "wb", fileobj=plain, mtime=0)) if packed else nullcontext(plain) as output,
    ):
        blanked = 0
        for number, piece in csv_records.pieces(_chunks(source)) if is_csv else _lines(source):
            if number not in rows:
                output.write(piece)
            elif number != blanked:
                output.write(b"\n")
                blanked = number


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(raw_rows.CHUNK_BYTES):
        yield chunk


def _lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines with their numbers from 1, a long one in pieces."""
    number = 1
    while piece := stream.readline(raw_rows.CHUNK_BYTES):
        yield number, piece
        number += piece.endswith(b"\n")


def _rewrite_parquet(file: Path, rows: Set[int], target: Path) -> None:
    gone = np.fromiter(rows, np.int64, len(rows))
    with pq.ParquetFile(file, page_checksum_verification=True) as source:
        schema = source.schema_arrow
        for place, field in enumerate(schema):
            schema = schema.set(place, field.with_nullable(True))
        first = 1
        with pq.ParquetWriter(target, schema, compression=_codec(source.metadata), write_page_checksum=True) as output:
            for batch in source.iter_batches(batch_size=MAX_ROWS):
                places = np.arange(batch.num_rows)
                # to take from nowhere gives NULL, whatever the type
                kept = pa.array(places, mask=np.isin(places + first, gone))
                output.write_table(pa.Table.from_batches([batch]).take(kept).cast(schema))
                first += batch.num_rows


def _codec(metadata: pq.FileMetaData) -> str:
    has_values = metadata.num_row_groups and metadata.num_columns
    codec = metadata.row_group(0).column(0).compression.lower() if has_values else "snappy"
    return "none" if codec == "uncompressed" else str(codec)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
