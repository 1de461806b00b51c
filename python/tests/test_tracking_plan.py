"""The tracking plan takes what an operator means, and tells in one line where it cannot, without a name in sight."""

import csv
from pathlib import Path

import pytest

from quorum.errors import BadInput
from quorum.tracking_plan import TYPES, digest, load

COLUMNS = ("tenant_id", "event_name", "property", "type", "required")
ROW = ("acme", "ada@example.com signed up", "ada@example.com", "string", "true")
EVENT = ("acme", "ada@example.com left", "", "", "")


def written(directory: Path, *rows: tuple[str, ...], columns: tuple[str, ...] = COLUMNS) -> Path:
    with (directory / "tracking_plan.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return directory


def changed(**cells: str) -> tuple[str, ...]:
    return tuple((dict(zip(COLUMNS, ROW, strict=True)) | cells).values())


def test_no_file_is_no_plan(tmp_path: Path) -> None:
    plan = load(tmp_path)
    assert plan.num_rows == 0
    assert plan.column_names == list(COLUMNS)


def test_a_plan_is_read(tmp_path: Path) -> None:
    rows = [changed(property=kind, type=f" {kind} ", required="False") for kind in TYPES]
    awkward = changed(tenant_id="*", property='a "quoted", $dotted.name\'s/~ü😀')
    plan = load(written(tmp_path, *rows, EVENT, awkward)).to_pylist()
    assert [row["type"] for row in plan if row["required"] is False] == sorted(TYPES)
    assert plan[0]["property"] == awkward[2]
    assert dict(zip(COLUMNS, (*EVENT[:2], None, None, None), strict=True)) in plan


def test_the_digest_is_of_the_rows_and_not_of_their_order(tmp_path: Path) -> None:
    first, second, other = (digest(load(written(tmp_path, *rows))) for rows in ([ROW, EVENT], [EVENT, ROW], [ROW]))
    assert first == second != other


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (changed(tenant_id=""), "line 3, column tenant_id: it is blank"),
        (changed(event_name=" ada@example.com"), "line 3, column event_name: it has spaces around it"),
        (changed(property="ada@example.com\t"), "line 3, column property: it has spaces around it"),
        (changed(property=" "), "line 3, column property: it is blank"),
        (changed(type="ada@example.com"), "line 3, column type: expected one of string, number"),
        (changed(type=""), "line 3, column type: expected one of"),
        (changed(required="ada@example.com"), "line 3, column required: expected true or false"),
        (changed(property=""), "line 3, column type: it is given for no property"),
        (changed(property="", type=""), "line 3, column required: it is given for no property"),
        (ROW, "line 3, column property: line 2 plans the same"),
        (ROW[:4], "line 3: it has 4 fields where the header has 5"),
    ],
)
def test_an_error_says_where_it_is(row: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        load(written(tmp_path, ROW, row))
    message = str(caught.value)
    assert f"tracking_plan.csv, {expected}" in message
    assert "ada@" not in message
    assert len(message.splitlines()) == 1


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"line 1: no column required$"):
        load(written(tmp_path, columns=COLUMNS[:4]))
