"""Where each field of the contract comes from, as the staging models say it, and nothing else does."""

import re
from pathlib import Path
from typing import Any

import pytest

from quorum.field_map import mapped, name_of, table
from quorum.runner import Dbt
from quorum.settings import project_directory
from quorum.workspace import Workspace


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("$", "$"),
        ("$.user_id", "user_id"),
        ("$.context.page.url", "context.page.url"),
        ('$.properties."$insert_id"', "properties.$insert_id"),
        ('$."[Amplitude] Page Location"', "[Amplitude] Page Location"),
        ("$.contexts_1[0].userId", "contexts_1[0].userId"),
        ('$."$groups".company', "$groups.company"),
    ],
)
def test_a_path_is_named_as_a_person_writes_it(path: str, name: str) -> None:
    assert name_of(path) == name


def test_a_field_comes_from_all_that_its_expression_names() -> None:
    meta: dict[str, Any] = {
        "reads_line": {"sender": ["$.from", "$.sender"], "kind": "$.kind", "body": "$.body", "spare": "$.spare"},
        "reads_parsed": {"link": "$.link"},
        "contract": {
            "user_id": "coalesce(writer, sender)",
            "event_name": "case when kind = 'spare' then 'sender' end",  # words in quotes are no columns
            "url": "lower(link)",
            "country": "'DE'",
        },
    }
    sql = """
    parsed_body as ( select *, {{ json_from_records('body') }} as parsed from source ),
    told_apart as (
        select
            *,
            case when kind = 'x' then sender end as writer
        from parsed_body
    )"""
    assert mapped(meta, sql) == {
        ("user_id", "from"),
        ("user_id", "sender"),
        ("user_id", "kind"),
        ("event_name", "kind"),
        ("url", "body.link"),
    }


def test_the_page_on_formats_lists_all_that_is_read_and_nothing_else(tmp_path: Path) -> None:
    read: dict[str, set[str]] = {}
    for row in table(Dbt(Workspace(tmp_path)).manifest()).to_pylist():
        read.setdefault(row["source_format"], set()).add(row["raw_field"])
    page = (project_directory() / "docs" / "formats.md").read_text("utf-8")
    section = page.partition("## What is taken, and what is not")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if re.match(r"\| [a-z0-9]+ \| `", line)]
    listed = {name.strip(): (set(re.findall("`([^`]+)`", taken)), left) for name, taken, left in rows}
    assert {name: taken for name, (taken, _) in listed.items()} == {
        name: read[name] for name in read if name != "quorum"
    }
    for name, (_, left) in listed.items():
        assert not set(re.findall("`([^`]+)`", left)) & read[name]
