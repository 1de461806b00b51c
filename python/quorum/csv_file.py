"""Reading a CSV file that an operator edits: whatever is wrong is told in one line that says where."""

import csv
import io
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path

from quorum.errors import BadInput


def rows(path: Path, columns: Collection[str], optional: Collection[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number of the line on which a row ends, and its cells by column."""
    records = _records(path)
    header = _header(path, next(records, None), columns, optional)
    for line, cells in records:
        if len(cells) != len(header):
            raise BadInput(f"{path}, line {line}: it has {len(cells)} fields where the header has {len(header)}")
        yield line, dict(zip(header, cells, strict=True))


def policy_rows(path: Path, name: str, columns: Collection[str]) -> list[dict[str, str]]:
    """Return the rows of a file of policy, which has these columns in their order; ``name`` is what a line calls it."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            found = list(reader)
    except (UnicodeDecodeError, csv.Error):
        raise BadInput(f"{name} is no CSV in UTF-8") from None
    if list(reader.fieldnames or ()) != list(columns):
        raise BadInput(f"{name} line 1: expected the columns {','.join(columns)}")
    for number, row in enumerate(found, start=2):
        if None in row or None in row.values():
            raise BadInput(f"{name} line {number}: it has too few or too many fields")
    return found


def identifier(column: str, text: str) -> str:
    """Return an identifier as it stands. It may hold personal data: no message shows one."""
    if not text.strip():
        raise BadInput(f"column {column}: it is blank")
    if text != text.strip() or re.search(r"[\x00-\x1f\x7f]", text):
        raise BadInput(f"column {column}: it has spaces around it or control characters in it")
    return text


def day(text: str) -> date | None:
    """Read a date such as 2024-01-31."""
    with suppress(ValueError):
        if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):  # fromisoformat also takes week dates
            return date.fromisoformat(text)
    return None


def whole_number(text: str) -> int | None:
    """Read a number of ASCII digits; int() also takes 1_000 and digits of other scripts."""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def shorten(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 40 else f"{text[:40]}...")  # repr keeps it on one line


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as problem:
        raise BadInput(f"{path} cannot be read ({problem.strerror})") from None
    except UnicodeDecodeError as problem:
        line = problem.object.count(b"\n", 0, problem.start) + 1
        raise BadInput(f"{path}, line {line}: it is not UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as problem:
        raise BadInput(f"{path}, line {reader.line_num}: {problem}") from None


def _header(
    path: Path, first: tuple[int, list[str]] | None, columns: Collection[str], optional: Collection[str]
) -> list[str]:
    if first is None:
        raise BadInput(f"{path} is empty: it must begin with a line of column names")
    line, cells = first
    header = [cell.strip() for cell in cells]
    # Missing names first: where the header itself is missing, its place holds data, which no message shows.
    missing = [name for name in columns if name not in header and name not in optional]
    if missing:
        raise BadInput(f"{path}, line {line}: no column {', '.join(missing)}")
    for column in header:
        if column not in columns:
            raise BadInput(f"{path}, line {line}: unknown column {shorten(column)}")
        if header.count(column) > 1:
            raise BadInput(f"{path}, line {line}: column {column} is there twice")
    return header
