"""The registry takes what an operator means, and tells in one line where it cannot."""

import csv
import io
from dataclasses import asdict, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorum.errors import BadInput
from quorum.registry import DEFAULT_TENANT, Registry, TenantVersion, load, template

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
ACME = {
    "tenant_id": "ada@example.com",  # the worst that a tenant id can be
    "valid_from": "2024-02-29",
    "industry": "retail",
    "region": "EU & UK",
    "size_band": "50-200",
    "plan": "pro+",
    "owner_group": "",
    "timezone": "Europe/Berlin",
    "week_start": "monday",
    "session_timeout_minutes": "30",
    "benchmark_consent": "true",
    "retention_days": "730",
    "freshness_sla_hours": "24",
    "daily_event_quota": "1000000",
    "daily_user_quota": "100000",
    "publish_bundle": "false",
    "max_users_per_device": "3",
    "max_users_per_person": "6",
    "bot_daily_events": "500",
    "bot_daily_hours": "16",
}
DEFAULTS = {"max_users_per_device": 2, "max_users_per_person": 5, "bot_daily_events": 2000, "bot_daily_hours": 20}
OPTIONAL = {"owner_group": None, "daily_user_quota": None, **DEFAULTS}
REQUIRED_NUMBERS = ("session_timeout_minutes", "retention_days", "freshness_sla_hours", "daily_event_quota")
NUMBERS = (*REQUIRED_NUMBERS, "daily_user_quota", *DEFAULTS)
FLAGS = ("benchmark_consent", "publish_bundle")
LABELS = ("industry", "region", "size_band", "plan", "owner_group")
BAD: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    (("tenant_id",), ("", "  ", " ada@example.com", "ada@example.com\nbob", "ada@example.com\0")),
    (("valid_from",), ("", "2023-02-29", "29.02.2024", "20240229", "2024-W09-4", "2024-2-29")),
    (LABELS, ("a/b", "a;b", "<b>", "=1+1", "-1", "ü", "a\nb", "a" * 65)),
    (("timezone",), ("", "Mars/Olympus", "europe/berlin", "UTC'; drop table t; --")),
    (("week_start",), ("", "mon", "1", "someday")),
    (REQUIRED_NUMBERS, ("",)),
    (NUMBERS, ("0", "-1", "1.5", "1e3", "1_000", "٣٠", "9" * 30)),
    (("session_timeout_minutes",), ("1441",)),
    (("max_users_per_device", "max_users_per_person"), ("1001",)),
    (("bot_daily_hours",), ("25",)),
    (FLAGS, ("", "yes", "1", "t")),
]


def write(directory: Path, *rows: dict[str, str], columns: list[str] | None = None) -> Path:
    with (directory / "tenants.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns or list(ACME), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return directory


def error(directory: Path) -> str:
    with pytest.raises(BadInput) as caught:
        load(directory)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert "tenants.csv" in message
    assert "ada@" not in message
    return message


def version(**changes: Any) -> TenantVersion:
    right: dict[str, Any] = {
        **ACME,
        "valid_from": date(2024, 2, 29),
        "owner_group": None,
        "benchmark_consent": True,
        "publish_bundle": False,
        **{column: int(ACME[column]) for column in NUMBERS},
    }
    return TenantVersion(**right | changes)


def test_a_row_is_read_with_types(tmp_path: Path) -> None:
    assert load(write(tmp_path, ACME)).rows == (version(),)


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [("owner_group", "holding", "holding"), *((column, "7", 7) for column in OPTIONAL if column != "owner_group")],
)
def test_some_columns_may_be_missing(column: str, text: str, value: object, tmp_path: Path) -> None:
    columns = [name for name in ACME if name != column]
    assert getattr(load(write(tmp_path, ACME, columns=columns)).rows[0], column) == OPTIONAL[column]
    assert getattr(load(write(tmp_path, ACME | {column: ""})).rows[0], column) == OPTIONAL[column]
    assert getattr(load(write(tmp_path, ACME | {column: text})).rows[0], column) == value


def test_what_spreadsheets_do_is_tolerated(tmp_path: Path) -> None:
    changed = ACME | {"week_start": " Monday", "benchmark_consent": "TRUE ", "publish_bundle": "False"}
    path = write(tmp_path, changed, columns=list(reversed(ACME))) / "tenants.csv"
    text = path.read_bytes()
    assert b"\r\n" in text
    for variant in (text, b"\xef\xbb\xbf" + text + b"\r\n", text.replace(b"\r\n", b"\n").rstrip()):
        path.write_bytes(variant)
        assert load(tmp_path).rows == (version(),)


@pytest.mark.parametrize("tenant_id", ["#en.wikipedia", "a,b", 'a "b"', "中文", "a b", "-", "' or 1=1 --"])
def test_a_tenant_id_is_any_text(tenant_id: str, tmp_path: Path) -> None:
    assert load(write(tmp_path, ACME | {"tenant_id": tenant_id})).rows[0].tenant_id == tenant_id


@pytest.mark.parametrize(
    ("column", "value"), [(column, value) for columns, bad in BAD for column in columns for value in bad]
)
def test_a_bad_value_is_told_by_line_and_column(column: str, value: str, tmp_path: Path) -> None:
    bad = ACME | {column: value}
    if column != "tenant_id":
        bad["tenant_id"] = "ada@example.org"
    message = error(write(tmp_path, ACME, bad))
    # A value with a line break in it ends on line 4.
    assert f"line {3 + value.count(chr(10))}, column {column}: " in message


def test_a_long_value_is_shortened(tmp_path: Path) -> None:
    message = error(write(tmp_path, ACME | {"timezone": "z" * 10_000}))
    assert len(message.removeprefix(str(tmp_path))) < 200


def test_two_versions_of_one_date(tmp_path: Path) -> None:
    other = ACME | {"tenant_id": "umbrella"}
    message = error(write(tmp_path, ACME, other, ACME | {"plan": "free"}))
    assert "line 4, column valid_from: line 2" in message
    with pytest.raises(BadInput):
        Registry((version(), version(plan="free")))


@pytest.mark.parametrize("column", [column for column in ACME if column not in OPTIONAL])
def test_a_missing_column(column: str, tmp_path: Path) -> None:
    columns = [name for name in ACME if name != column]
    assert f"line 1: no column {column}" in error(write(tmp_path, ACME, columns=columns))


def test_unknown_and_repeated_columns(tmp_path: Path) -> None:
    assert "unknown column 'colour'" in error(write(tmp_path, ACME, columns=[*ACME, "colour"]))
    assert "unknown column ''" in error(write(tmp_path, ACME, columns=[*ACME, ""]))
    assert "column plan is there twice" in error(write(tmp_path, ACME, columns=[*ACME, "plan"]))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"\n\r\n", "is empty"),
        (",".join(ACME).encode(), "lists no tenant"),
        (",".join(ACME.values()).encode(), "line 1: no column tenant_id, valid_from"),
        (template().encode() + b"ada@example.com,2024-01-01\n", "line 3: it has 2 fields"),
        (template().encode() + b"ada@example.com," * 16, "line 3: it has 17 fields"),
        (template().encode() + b'"ada@example.com,2024-01-01\n', "line 3: unexpected end of data"),
        (template().encode() + "ada@example.com,café".encode("latin-1"), "line 3: it is not UTF-8"),
        (template().encode("utf-16"), "line 1: it is not UTF-8"),
    ],
)
def test_a_file_that_is_no_registry(content: bytes, expected: str, tmp_path: Path) -> None:
    (tmp_path / "tenants.csv").write_bytes(content)
    assert expected in error(tmp_path)


def test_a_missing_file(tmp_path: Path) -> None:
    assert "quorum init" in error(tmp_path)


@settings(deadline=None)
@given(content=st.binary(max_size=300) | st.text(alphabet='a",\r\n\0*2é', max_size=300).map(str.encode))
def test_whatever_is_in_the_file_the_error_is_one_line(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("registry")
    (directory / "tenants.csv").write_bytes(template().encode() + content + b"\n,\n")
    error(directory)


def test_the_template_consents_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "tenants.csv").write_text(template())
    registry = load(tmp_path)
    assert registry.default
    assert [row.benchmark_consent for row in registry.rows] == [False]


def test_a_listed_tenant_is_not_the_default(tmp_path: Path) -> None:
    default = ACME | {"tenant_id": "*", "valid_from": "2020-01-01"}
    alone = load(write(tmp_path, ACME))
    both = load(write(tmp_path, ACME, default))
    before, after = date(2024, 2, 28), date(2024, 2, 29)
    assert (alone.default, both.default) == (False, True)
    for registry in (alone, both):
        assert not registry.known(ACME["tenant_id"], before)
        assert registry.known(ACME["tenant_id"], after)
        assert not registry.known(DEFAULT_TENANT, after)
    assert both.known("umbrella", before)
    assert not both.known("umbrella", date(2019, 12, 31))
    assert not alone.known("umbrella", after)


DAYS = st.dates(date(2024, 1, 1), date(2024, 1, 20))


@given(starts=st.lists(DAYS, unique=True, max_size=5), day=DAYS)
def test_a_version_holds_until_the_next(starts: list[date], day: date) -> None:
    registry = Registry(tuple(version(tenant_id="acme", valid_from=start) for start in starts))
    begun = [start for start in starts if start <= day]
    found = registry.version("acme", day)
    assert (found and found.valid_from) == max(begun, default=None)
    of_day = registry.of_day(day)["valid_from"].to_pylist()
    assert of_day == [max(begun, default=min(starts))] if starts else of_day == []


@st.composite
def versions(draw: st.DrawFn) -> TenantVersion:
    labels = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.&+-]{0,63}", fullmatch=True)
    return version(
        tenant_id=draw(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)),
        valid_from=draw(st.dates(date(1000, 1, 1))),
        industry=draw(st.just("") | labels),
        owner_group=draw(st.none() | labels),
        week_start=draw(st.sampled_from(["monday", "saturday", "sunday"])),
        benchmark_consent=draw(st.booleans()),
        **{number: draw(st.integers(1, 24)) for number in NUMBERS},
    )


@settings(deadline=None)
@given(
    rows=st.lists(versions(), min_size=1, max_size=5, unique_by=lambda row: (row.tenant_id, row.valid_from)),
    order=st.randoms(use_true_random=False),
)
def test_what_is_written_is_read(
    rows: list[TenantVersion], order: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    columns = list(ACME)
    registry = Registry(tuple(rows))
    order.shuffle(rows)
    order.shuffle(columns)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    directory = tmp_path_factory.mktemp("registry")
    (directory / "tenants.csv").write_text(text.getvalue(), encoding="utf-8", newline="")
    read = load(directory)
    assert read == registry
    assert read.digest == registry.digest


def test_the_digest_covers_each_column() -> None:
    changes = {
        "tenant_id": "umbrella",
        "valid_from": date(2024, 3, 1),
        **dict.fromkeys(LABELS, "other"),
        "timezone": "UTC",
        "week_start": "sunday",
        **dict.fromkeys(NUMBERS, 7),
        "benchmark_consent": False,
        "publish_bundle": True,
    }
    assert changes.keys() == ACME.keys()
    digests = {Registry((version(**{name: value}),)).digest for name, value in changes.items()}
    assert len(digests | {Registry((version(),)).digest}) == len(changes) + 1


def test_arrow_has_the_types_of_the_warehouse() -> None:
    table = Registry((version(), version(tenant_id="*"))).to_arrow()
    expected = dict.fromkeys(ACME, pa.string()) | dict.fromkeys(NUMBERS, pa.int32())
    expected |= {
        "valid_from": pa.date32(),
        "daily_event_quota": pa.int64(),
        "daily_user_quota": pa.int64(),
        **dict.fromkeys(FLAGS, pa.bool_()),
    }
    assert dict(zip(table.schema.names, table.schema.types, strict=True)) == expected
    assert table.to_pylist() == [asdict(version(tenant_id="*")), asdict(version())]


def test_a_version_is_validated_and_keeps_its_tenant_to_itself() -> None:
    with pytest.raises(BadInput, match="column plan"):
        replace(version(), plan="<script>")
    assert "ada" not in repr(version())


def test_twenty_thousand_tenants(tmp_path: Path) -> None:
    start = date(2000, 1, 1)
    rows = (
        ACME | {"tenant_id": f"tenant {number // 2}", "valid_from": str(start + timedelta(number))}
        for number in range(20_000)
    )
    registry = load(write(tmp_path, *rows))
    assert registry.to_arrow().num_rows == 20_000
    assert registry.known("tenant 9999", date(2060, 1, 1))


@pytest.mark.parametrize("name", ["github", "github_payloads", "snowplow", "wikimedia"])
def test_real_registries(name: str) -> None:
    directory = SHARED / name / "registry"
    if not directory.exists():
        pytest.skip(f"no {name} among the shared data sets beside the repository")
    registry = load(directory)
    lines = (directory / "tenants.csv").read_text().splitlines()
    assert len(registry.rows) == len(lines) - 1
    assert registry.default == any(line.startswith("*,") for line in lines)
