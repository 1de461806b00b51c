"""What is shipped decides every field in a way that the models can do, and a workspace may only be stricter."""

from pathlib import Path
from typing import Any

import pytest

from quorum.catalog import field_forms
from quorum.errors import BadInput, QuorumError, Refused
from quorum.field_policies import STRICTNESS, SUITABLE, Forms, digest, overrides, shipped
from quorum.runner import Dbt
from quorum.settings import formats, project_directory
from quorum.workspace import Workspace

SHIPPED = project_directory() / "seeds/policy/field_policies.csv"
HEADER = "source_format,field,class,action"


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Forms:
    """What the models can do, as the manifest knows it."""
    return field_forms(Dbt(Workspace(tmp_path_factory.mktemp("parsed"))).manifest())


def written(path: Path, header: str, *rows: str) -> Path:
    path.write_text("\n".join([header, *rows, ""]))
    return path


def read(folder: Path, forms: Forms, *rows: str, before: Path = SHIPPED, header: str = HEADER) -> list[dict[str, str]]:
    written(folder / "field_policies.csv", header, *rows)
    return overrides(folder, shipped(before, forms), forms)


def one_line(error: pytest.ExceptionInfo[QuorumError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_the_shipped_policy_decides_each_field_of_each_format(forms: Forms) -> None:
    rows = shipped(SHIPPED, forms)
    for source_format in formats():
        decided = {row["field"] for row in rows if row["source_format"] in ("*", source_format)}
        assert set(forms) <= decided
    assert {"sent_at", "properties"} <= {row["field"] for row in rows if row["action"] == "drop"}


def test_each_class_can_be_dropped_and_no_text_is_kept_as_it_is() -> None:
    assert all("drop" in actions for actions in SUITABLE.values())
    assert {name for name, actions in SUITABLE.items() if "keep" in actions} == {
        *("time", "geography", "quantity", "amount", "flag")
    }
    assert {action for actions in SUITABLE.values() for action in actions} == set(STRICTNESS)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("*,user_id,identifier,keep,tenant", "keep does not suit the class identifier"),
        ("*,ip,ip_address,tokenise,tenant", "tokenise does not suit the field ip: it can be drop, truncate"),
        ("*,sent_at,time,keep,tenant", "keep does not suit the field sent_at: it can be drop"),
        ("*,usr_id,identifier,tokenise,tenant", "field is none of the event contract, nor properties.<name>"),
        ("*,properties.a\\b,flag,keep,tenant", "field is none of the event contract, nor properties.<name>"),
        ("*,properties.note,free_text,keep,tenant", "keep does not suit the class free_text"),
        ("*,properties.note,comment,scrub,tenant", "unknown class"),
        ("*,url,url,strip,everybody", "audience is not one of restricted, tenant, published"),
        ("*,url,url,strip,restricted", "what is dropped is for the restricted plane, and nothing else is"),
        ("*,url,url,drop,tenant", "what is dropped is for the restricted plane, and nothing else is"),
        ("*,user_id,identifier,drop,restricted", "user_id cannot be dropped, a row without it is no event"),
        ("*,url,url,strip", "it has too few or too many fields"),
    ],
)
def test_a_seed_that_the_models_cannot_do_is_refused(tmp_path: Path, forms: Forms, row: str, expected: str) -> None:
    path = written(tmp_path / "field_policies.csv", f"{HEADER},audience", "*,country,geography,keep,tenant", row)
    with pytest.raises(BadInput) as error:
        shipped(path, forms)
    assert one_line(error) == f"seeds/policy/field_policies.csv line 3: {expected}"


@pytest.mark.parametrize(
    ("row", "before"),
    [
        ("*,user_id,identifier,keep", "tokenise"),
        ("*,user_id,identifier,truncate", "tokenise"),
        ("*,user_id,identifier,tokenise_exact", "tokenise"),
        ("quorum,user_id,identifier,keep", "tokenise"),
        ("*,ip,ip_address,keep", "truncate"),
        ("*,url,url,keep", "strip"),
        ("*,event_name,label,keep", "keep_listed"),
        ("quorum,properties.comment,label,keep_listed", "drop"),
        ("quorum,properties.comment,identifier,tokenise", "drop"),
        ("*,a_new_field,label,keep", "drop"),
    ],
)
def test_a_laxer_action_is_refused(tmp_path: Path, forms: Forms, row: str, before: str) -> None:
    with pytest.raises(Refused) as error:
        read(tmp_path, forms, "*,country,geography,drop", row)
    action = row.rpartition(",")[2]
    assert one_line(error) == f"policy/field_policies.csv line 3: {action} is laxer than {before}"


@pytest.mark.parametrize(
    ("row", "audience"),
    [
        ("*,country,geography,drop", "restricted"),
        ("quorum,user_agent,user_agent,drop", "restricted"),
        ("*,session_id,identifier,tokenise", "tenant"),
        ("*,feature,label,keep_listed", "published"),
        ("wikimedia,user_id,identifier,tokenise", "tenant"),
    ],
)
def test_a_stricter_one_is_taken(tmp_path: Path, forms: Forms, row: str, audience: str) -> None:
    assert [",".join(found.values()) for found in read(tmp_path, forms, row)] == [f"{row},{audience}"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("*,ip,ip_address,tokenise", "tokenise does not suit the field ip: it can be drop, truncate"),
        ("*,duration_ms,quantity,generalise", "generalise does not suit the class quantity"),
        ("*,misspelt,label,drop", "field is none of the event contract, nor properties.<name>"),
        ("quorum,properties.plan,label,tokenise", "tokenise does not suit the class label"),
    ],
)
def test_a_stricter_one_that_no_model_can_do_is_refused(tmp_path: Path, forms: Forms, row: str, expected: str) -> None:
    """It would be NULL without a word."""
    with pytest.raises(BadInput) as error:
        read(tmp_path, forms, "*,country,geography,drop", row)
    assert one_line(error) == f"policy/field_policies.csv line 3: {expected}"


@pytest.mark.parametrize(
    "rows",
    [
        ["*,user_id,identifier,hide"],
        ["*,user_id"],
        ["*,user_id,identifier,drop,drop"],
        ["quorum,event_id,identifier,drop"],
        ["*,occurred_at,time,drop"],
        ["wikimedia,user_id,identifier,drop"],
        ["*,tenant_id,identifier,drop"],
        ["segmnt,url,url,drop"],
        ["quorum,url,url,drop", "quorum,url,url,strip"],
    ],
)
def test_what_would_fail_every_night_is_told_at_once(tmp_path: Path, forms: Forms, rows: list[str]) -> None:
    with pytest.raises(BadInput) as error:
        read(tmp_path, forms, *rows)
    assert one_line(error).startswith("policy/field_policies.csv line")


def test_a_header_that_is_another_is_told(tmp_path: Path, forms: Forms) -> None:
    with pytest.raises(BadInput) as error:
        read(tmp_path, forms, "*,url,url,drop", header="format,field,class,action")
    assert one_line(error) == f"policy/field_policies.csv line 1: expected the columns {HEADER}"


def test_another_class_is_no_way_around(tmp_path: Path, forms: Forms) -> None:
    with pytest.raises(QuorumError):
        read(tmp_path, forms, "quorum,properties.is_trial,quantity,keep")


def test_a_row_for_all_formats_loosens_none(tmp_path: Path, forms: Forms) -> None:
    rows = ["*,country,geography,keep,tenant", "quorum,country,geography,drop,restricted"]
    before = written(tmp_path / "shipped.csv", f"{HEADER},audience", *rows)
    with pytest.raises(Refused):
        read(tmp_path, forms, "*,country,geography,keep", before=before)


def test_without_a_file_nothing_is_overridden(tmp_path: Path, forms: Forms) -> None:
    before: list[dict[str, Any]] = shipped(SHIPPED, forms)
    assert overrides(tmp_path, before, forms) == []


def test_the_digest_is_of_both(tmp_path: Path, forms: Forms) -> None:
    before = shipped(SHIPPED, forms)
    changes = read(tmp_path, forms, "*,country,geography,drop")
    assert len({digest(before, []), digest(before, changes), digest(before[1:], changes)}) == 3
