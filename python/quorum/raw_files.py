"""Raw files as rows: JSON lines and CSV, plain or gzip, and Parquet, whatever their size and whatever they hold."""

import errno
import gzip
import os
import zlib
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from quorum import csv_records, json_lines, parquet_records, raw_rows
from quorum.raw_rows import ROWS, Unusable

__all__ = ["ROWS", "SUFFIXES", "Unusable", "read"]

JSON = (".jsonl", ".ndjson", ".json")
CSV = (".csv",)
PARQUET = (".parquet",)
SUFFIXES = (*JSON, *CSV, *(f"{suffix}.gz" for suffix in JSON + CSV), *PARQUET)


def read(file: Path) -> Iterator[pa.Table]:
    """Yield the rows of a file in order, as tables of ``ROWS`` that are small whatever the file is.

    ``landing_row`` counts lines or records from 1. ``line`` is the line of a JSON lines file, else the record as a JSON
    object without its empty fields. ``defect`` is NULL, ``unparsable`` (``line`` is then what could be read) or
    ``oversized`` (``line`` is then NULL).

    Raises ``Unusable`` if the file cannot be taken now. This can come after rows: they are then worth nothing.
    """
    try:
        if file.stat().st_size == 0:
            raise Unusable("waits for the next run, it is empty")
        if file.name.endswith(PARQUET):
            yield from parquet_records.read(file)
            return
        packed = file.name.endswith(".gz")
        reader = csv_records if file.name.removesuffix(".gz").endswith(CSV) else json_lines
        with (
            cast(IO[bytes], gzip.open(file)) if packed else file.open("rb") as stream,
            closing(_chunks(stream)) as chunks,
        ):
            # gzip says itself whether it is whole
            yield from reader.read(chunks, end_is_sure=packed)
    except EOFError:
        raise Unusable("waits for the next run, its gzip stream is cut short") from None
    except (gzip.BadGzipFile, zlib.error):
        raise Unusable("waits for the next run, its gzip stream is damaged") from None
    except OSError as error:
        # not the error's own words: those of pyarrow name the file
        raise Unusable(f"cannot be read: {os.strerror(error.errno or errno.EIO)}") from None


def _chunks(stream: IO[bytes]) -> Generator[bytes]:
    """Yield what a stream holds; the next chunk is unpacked while one is worked on."""
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(stream.read, raw_rows.CHUNK_BYTES)
        while chunk := coming.result():
            coming = ahead.submit(stream.read, raw_rows.CHUNK_BYTES)
            yield chunk
