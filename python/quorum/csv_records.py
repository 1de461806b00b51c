"""CSV by RFC 4180 with a header, in UTF-8: each record is a row, its text one JSON object of the filled fields."""

import csv
import json
import re
from collections.abc import Iterable, Iterator

import pyarrow as pa

from quorum import raw_rows
from quorum.raw_rows import CUT_SHORT, OVERSIZED, UNPARSABLE, Unusable

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_ROWS = 1 << 16

# A quote opens a field only at the field's start: elsewhere it is text, as the csv module has it.
_FIELDS = rb'(?:,|[^",\n][^,\n]*+|"[^"]*+(?:""[^"]*+)*+"[^,\n]*+)*+'
_BEGUN = re.compile(_FIELDS)
_RECORD = re.compile(_FIELDS + rb"\n")

_as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

# the module's own limit on a field is lower than the one on a record here
csv.field_size_limit(raw_rows.MAX_LINE_BYTES)


def read(chunks: Iterable[bytes], end_is_sure: bool) -> Iterator[pa.Table]:
    """Yield tables of ``ROWS``; ``landing_row`` is the number of the record, from 1 and without the header.

    An empty field is left out of the object, a blank line is no row. A record that is not as the header says
    is unparsable and keeps its raw text. A header that does not name each column raises ``Unusable``, and so does
    an end amid a record, unless the end of the text is sure.
    """
    records = _records(chunks)
    header, closed = next(records, (b"", True))
    if not closed and not end_is_sure:
        raise Unusable(CUT_SHORT)
    names = _names(header.removeprefix(BYTE_ORDER_MARK))
    rows, size = [], 0
    for number, (record, closed) in enumerate(records, start=1):
        fields = _fields(record)
        if not closed and not end_is_sure and (fields is None or 0 < len(fields) < len(names)):
            raise Unusable(CUT_SHORT)
        if fields == []:
            continue
        rows.append((number, *_line_and_defect(record, fields, names)))
        size += len(rows[-1][1] or "")
        if size >= raw_rows.CHUNK_BYTES or len(rows) >= MAX_ROWS:
            yield raw_rows.table(rows)
            rows, size = [], 0
    yield raw_rows.table(rows)


def _names(header: bytes) -> list[str]:
    names = _fields(header)
    if names and all(names) and len(set(names)) == len(names) and "\0" not in "".join(names):
        return names
    raise Unusable("waits for the next run, its first line does not give each column a name of its own in UTF-8")


def _line_and_defect(record: bytes, fields: list[str] | None, names: list[str]) -> tuple[str | None, str | None]:
    if len(record) > raw_rows.MAX_LINE_BYTES:
        return None, OVERSIZED
    if fields is None or len(fields) != len(names):
        return _without_line_end(record).decode("utf-8", "replace"), UNPARSABLE
    return _as_json({name: field for name, field in zip(names, fields, strict=True) if field}), None


def _records(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield each record and whether a line end closes it, as it does all but perhaps the last.

    Of an oversized record no more is held than shows that it is one.
    """
    rest = b""
    for chunk in chunks:
        data, position = rest + chunk, 0
        while found := _RECORD.match(data, position):
            yield found[0], True
            position = found.end()
        rest = data[position:]
        if len(rest) > raw_rows.MAX_LINE_BYTES:
            rest = _shortened(rest)
    if rest:
        yield rest, False


def pieces(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield all bytes of a file with the number of the record that they are of: 0 is the header, then from 1."""
    number, rest, given = 0, b"", 0
    for chunk in chunks:
        data, position = rest + chunk, 0
        while found := _RECORD.match(data, position):
            yield number, data[max(position, given) : found.end()]
            number, position, given = number + 1, found.end(), 0
        rest = data[position:]
        if len(rest) > raw_rows.MAX_LINE_BYTES:
            yield number, rest[given:]
            rest = _shortened(rest)
            given = len(rest)
    yield number, rest[given:]


def _shortened(begun: bytes) -> bytes:
    """Return a short oversized record that what follows continues in the same way, in or out of quotes."""
    body = begun.rstrip(b'"')
    fields = _BEGUN.match(body)
    is_open = fields is not None and fields.end() < len(body)
    filler = b"x" * raw_rows.MAX_LINE_BYTES
    # what follows may go on with the last quotes, and of those only the parity matters
    return b'"' * is_open + filler + (body[-1:] or b",") + b'"' * ((len(begun) - len(body)) % 2)


def _fields(record: bytes) -> list[str] | None:
    """Return the fields, none of a blank record; None if it is oversized, no UTF-8 or no CSV."""
    if len(record) > raw_rows.MAX_LINE_BYTES:
        return None
    try:
        return next(csv.reader([_without_line_end(record).decode()], strict=True))
    except (UnicodeDecodeError, csv.Error):
        return None


def _without_line_end(record: bytes) -> bytes:
    return record.removesuffix(b"\n").removesuffix(b"\r")
