"""What every reader of raw files gives back, and the bounds that keep its memory small."""

from collections.abc import Sequence

import pyarrow as pa

MAX_LINE_BYTES = 1 << 20
CHUNK_BYTES = 8 << 20

UNPARSABLE = "unparsable"
OVERSIZED = "oversized"
CUT_SHORT = "waits for the next run, its last line is cut short"

ROWS = pa.schema([("landing_row", pa.int64()), ("line", pa.string()), ("defect", pa.string())])


class Unusable(Exception):
    """The file cannot be taken now. The text goes after ``landing/<path>:`` and holds nothing of the file."""


def table(rows: Sequence[tuple[int, str | None, str | None]]) -> pa.Table:
    """Put (landing_row, line, defect) into a table of ``ROWS``."""
    columns = zip(*rows, strict=True) if rows else [()] * len(ROWS)
    return pa.table([pa.array(values, kind) for values, kind in zip(columns, ROWS.types, strict=True)], schema=ROWS)
