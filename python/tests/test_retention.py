"""Days per class: shipped, shorter for a tenant or for all, never longer; told in one line that names no tenant."""

from pathlib import Path

import pytest

from quorum.errors import BadInput, QuorumError, Refused
from quorum.field_policies import SUITABLE
from quorum.registry import Registry, template
from quorum.registry import load as load_registry
from quorum.retention import digest, load
from quorum.settings import project_directory

SHIPPED = project_directory() / "seeds/policy/retention.csv"
TENANT = "ada@example.com"


def tenants(folder: Path, *others: str) -> Registry:
    header, everyone = template().splitlines()
    rows = [everyone.replace("*", tenant_id, 1) for tenant_id in others]
    (folder / "tenants.csv").write_text("\n".join([header, *rows, ""]))
    return load_registry(folder)


def written(folder: Path, *rows: str) -> Path:
    (folder / "retention.csv").write_text("\n".join(["tenant_id,class,days", *rows, ""]))
    return folder


def days(folder: Path, *rows: str) -> dict[tuple[str, str], int | None]:
    table = load(written(folder, *rows), SHIPPED, tenants(folder, TENANT, "acme"))
    return {(row["tenant_id"], row["class"]): row["days"] for row in table.to_pylist()}


def test_what_is_shipped_is_for_all(tmp_path: Path) -> None:
    table = load(tmp_path, SHIPPED, tenants(tmp_path, TENANT)).to_pylist()
    assert [row["class"] for row in table] == list(SUITABLE)
    assert {row["tenant_id"] for row in table} == {"*"}
    assert {row["class"]: row["days"] for row in table} | {"ip_address": 90, "identifier": None} == {
        row["class"]: row["days"] for row in table
    }


def test_a_tenant_may_shorten_and_so_may_the_operator_for_all(tmp_path: Path) -> None:
    found = days(tmp_path, f"{TENANT},ip_address,7", "*,ip_address,30", "*,identifier,500")
    assert {key: found[key] for key in found if key[1] in ("ip_address", "identifier", "url")} == {
        ("*", "ip_address"): 30,
        ("*", "identifier"): 500,
        ("*", "url"): 365,
        (TENANT, "ip_address"): 7,
        (TENANT, "identifier"): 500,
        (TENANT, "url"): 365,
    }


def test_the_order_of_the_rows_is_no_matter(tmp_path: Path) -> None:
    rows = [f"{TENANT},url,7", "acme,url,8"]
    first, second, other = (
        digest(load(written(tmp_path, *each), SHIPPED, tenants(tmp_path, TENANT, "acme")))
        for each in (rows, rows[::-1], rows[:1])
    )
    assert first == second != other


@pytest.mark.parametrize(
    ("row", "expected", "kind"),
    [
        (f"{TENANT},ip_address,91", "column days: ip_address may only stay shorter than the shipped 90", Refused),
        (f"{TENANT},ip_address,", "column days: it is empty", BadInput),
        (f"{TENANT},ip_address,0", "column days: expected a whole number from 1 to 366000", BadInput),
        (f"{TENANT},ip_address,1_0", "column days: expected a whole number from 1 to 366000", BadInput),
        (f"{TENANT},{TENANT},7", "column class: expected one of identifier, label, ", BadInput),
        (f"{TENANT},url,7", "column class: an earlier line has the same tenant and class", BadInput),
        (f" {TENANT},url,7", "column tenant_id: it has spaces around it or control characters in it", BadInput),
        (f"x{TENANT},url,7", "column tenant_id: no such tenant in tenants.csv", BadInput),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path: Path, row: str, expected: str, kind: type[QuorumError]) -> None:
    with pytest.raises(kind) as error:
        days(tmp_path, f"{TENANT},url,7", row)
    text = str(error.value)
    assert text.startswith(f"{tmp_path / 'retention.csv'}, line 3, {expected}")
    assert "\n" not in text
    assert TENANT not in text


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["url,365"], "no row for the class identifier"),
        (["url,365", "url,30"], "line 3, column class: it stands twice"),
        (["url,year"], "line 2, column days: expected a whole number"),
    ],
)
def test_a_seed_that_says_too_little_is_refused(tmp_path: Path, rows: list[str], expected: str) -> None:
    seed = tmp_path / "shipped.csv"
    seed.write_text("\n".join(["class,days", *rows, ""]))
    with pytest.raises(BadInput, match=expected):
        load(tmp_path, seed, tenants(tmp_path, TENANT))
