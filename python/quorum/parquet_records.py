"""Parquet: each record is a row, its text one JSON object of the filled columns."""

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from quorum import raw_rows
from quorum.raw_rows import OVERSIZED, ROWS, UNPARSABLE, Unusable

MAX_ROWS = 1 << 14
READ_BUFFER_BYTES = 1 << 20


def read(file: Path) -> Iterator[pa.Table]:
    """Yield tables of ``ROWS``; ``landing_row`` is the number of the record, from 1.

    Structs, lists and maps become nested JSON, decimals keep their digits, times are text: an instant with a zone
    ends in ``+00`` and is cut to microseconds. Bytes are taken as UTF-8. A record with a value that JSON cannot hold
    (NaN, an infinity, bytes that are nested or no UTF-8) is unparsable. Raises ``Unusable``.
    """
    try:
        schema = pq.read_schema(file)
        if not schema or len(set(schema.names)) < len(schema):
            raise Unusable("waits for the next run, it does not give each column a name of its own")
        with (
            pq.ParquetFile(
                file,
                # a long value that comes often is held once
                read_dictionary=[field.name for field in schema if _is_text(field.type)],
                buffer_size=READ_BUFFER_BYTES,
                page_checksum_verification=True,
            ) as parquet,
            duckdb.connect() as connection,
        ):
            connection.execute("set TimeZone = 'UTC'")
            number = 1
            for batch in parquet.iter_batches(batch_size=_batch_size(parquet.metadata)):
                for part in _parts(batch):
                    yield _rows(connection, part, number)
                    number += part.num_rows
    except (duckdb.Error, pa.ArrowNotImplementedError):
        raise Unusable("waits for the next run, its columns are of types that JSON cannot hold") from None
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise Unusable("waits for the next run, it is no whole Parquet file") from None


def _batch_size(metadata: pq.FileMetaData) -> int:
    """Return how many records of the widest row group make a chunk."""
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    widest = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
    return max(1, min(MAX_ROWS, raw_rows.CHUNK_BYTES // max(widest, 1)))


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Halve a batch until its values make a chunk."""
    if batch.num_rows < 2 or sum(map(_value_bytes, batch)) <= raw_rows.CHUNK_BYTES:
        yield batch
        return
    middle = batch.num_rows // 2
    yield from _parts(batch[:middle])
    yield from _parts(batch[middle:])


def _value_bytes(column: pa.Array) -> int:
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    return pc.sum(pc.take(pc.binary_length(column.dictionary), column.indices)).as_py() or 0


def _rows(connection: duckdb.DuckDBPyConnection, batch: pa.RecordBatch, first_row: int) -> pa.Table:
    # by position: to DuckDB two names that differ only in case are one
    places = [f"c{index}" for index in range(batch.num_columns)]
    keys = [json.dumps(name, ensure_ascii=False) + ":" for name in batch.schema.names]
    members = ", ".join(f"? || to_json({place})" for place in places)
    hiding = [f"{place} is not null" for place, column in zip(places, batch, strict=True) if _hides_bytes(column.type)]
    query = f"""
        select line, not json_valid(line) or is_lossy
        from (
            select '{{' || concat_ws(',', {members}) || '}}' as line, {" or ".join(hiding) or "false"} as is_lossy
            from batch
        )
    """
    connection.register("batch", pa.table([_as_text(column) for column in batch], names=places))
    line, broken = (column.combine_chunks() for column in connection.execute(query, keys).to_arrow_table().columns)
    connection.unregister("batch")

    broken = pc.or_(broken, _holds_no_number(line))
    oversized = pc.greater(pc.binary_length(line), raw_rows.MAX_LINE_BYTES)
    defect = pc.if_else(oversized, OVERSIZED, pc.if_else(broken, UNPARSABLE, pa.scalar(None, pa.string())))
    line = pc.if_else(oversized, pa.scalar(None, pa.string()), line)
    return pa.table([np.arange(first_row, first_row + batch.num_rows), line, defect], schema=ROWS)


def _as_text(column: pa.Array) -> pa.Array:
    if column.type == pa.json_():
        return column.storage
    # of what is no UTF-8 DuckDB makes no JSON
    return pc.cast(column, pa.string(), safe=False) if _is_bytes(column.type) else column


def _is_text(kind: pa.DataType) -> bool:
    return any(check(kind) for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary))


def _is_bytes(kind: pa.DataType) -> bool:
    is_one = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(check(kind.value_type if pa.types.is_dictionary(kind) else kind) for check in is_one)


def _hides_bytes(kind: pa.DataType) -> bool:
    children = [kind.field(index).type for index in range(kind.num_fields)]
    return any(_is_bytes(child) or _hides_bytes(child) for child in children)


def _holds_no_number(lines: pa.StringArray) -> pa.BooleanArray:
    """Whether a line has NaN or an infinity among its values: DuckDB writes and reads them as bare words."""
    suspect = pc.match_substring_regex(lines, "NaN|Infinity")
    loose = [not _is_strict(line) for line in lines.filter(suspect).to_pylist()]
    return pc.replace_with_mask(suspect, suspect, pa.array(loose, pa.bool_()))


def _is_strict(line: str) -> bool:
    words: list[str] = []
    try:
        json.loads(line, parse_constant=words.append)
    except (ValueError, RecursionError):
        return False
    return not words
