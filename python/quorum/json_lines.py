"""JSON lines: each line is a row as it stands, whatever it holds; blank lines are none."""

from collections.abc import Iterable, Iterator

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quorum import raw_rows
from quorum.raw_rows import CUT_SHORT, OVERSIZED, ROWS, UNPARSABLE, Unusable


def read(chunks: Iterable[bytes], end_is_sure: bool) -> Iterator[pa.Table]:
    """Yield tables of ``ROWS``; ``landing_row`` is the number of the line, from 1.

    Unless the end of the text is sure, an end amid a line raises ``Unusable``.
    """
    number, rest = 1, b""
    for chunk in chunks:
        pieces = pc.split_pattern(pa.array([rest + chunk]), b"\n").flatten()
        lines = pieces[:-1]
        # of an oversized line no more is held than shows that it is one
        rest = pieces[-1].as_py()[: raw_rows.MAX_LINE_BYTES + 1]
        yield _rows(number, lines)
        number += len(lines)
    if not end_is_sure and not _is_whole(rest):
        raise Unusable(CUT_SHORT)
    yield _rows(number, pa.array([rest]))


def _is_whole(line: bytes) -> bool:
    """Whether the line is blank or JSON, as far as can be told, by the parser that the staging models use."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return False
    if not text.strip():
        return True
    with duckdb.connect() as connection:
        return connection.execute("select json_valid(?)", [text]).fetchone() == (True,)


def _rows(first_row: int, lines: pa.BinaryArray) -> pa.Table:
    oversized = pc.greater(pc.binary_length(lines), raw_rows.MAX_LINE_BYTES)
    # not NULL yet: some kernels look at the bytes below one
    lines = pc.if_else(oversized, b"", lines)
    try:
        text, broken = lines.cast(pa.string()), False
    except pa.ArrowInvalid:
        text, broken = _decoded(lines.to_pylist())
    blank = pc.and_not(pc.or_(pc.equal(pc.binary_length(text), 0), pc.utf8_is_space(text)), oversized)
    nothing = pa.scalar(None, pa.string())
    defect = pc.if_else(oversized, OVERSIZED, pc.if_else(broken, UNPARSABLE, nothing))
    numbers = np.arange(first_row, first_row + len(lines))
    return pa.table([numbers, pc.if_else(oversized, nothing, text), defect], schema=ROWS).filter(pc.invert(blank))


def _decoded(lines: list[bytes]) -> tuple[pa.StringArray, pa.BooleanArray]:
    """Return the text of lines some of which are no UTF-8, and which those are."""
    text = [line.decode("utf-8", "replace") for line in lines]
    broken = [line != new.encode() for line, new in zip(lines, text, strict=True)]
    return pa.array(text, pa.string()), pa.array(broken, pa.bool_())
