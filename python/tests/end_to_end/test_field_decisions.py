"""A field that nobody decided about stops the build, and so does a column that gets past the policy: planted bugs."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from quorum import runner, settings
from quorum.errors import QuorumError
from quorum.runner import Dbt
from quorum.workspace import Workspace
from tests.end_to_end.test_new_format import PROJECT

SEED = "seeds/policy/field_policies.csv"
REDACTED, EVENTS = "models/redaction/int_events_redacted.sql", "models/redaction/_redaction__models.yml"
TENANT_MART = "models/marts/tenant/_mart_tenant_accounts.yml"
BENCHMARK = "models/marts/benchmarks/_marts_benchmarks__models.yml"
CONTRACT = "macros/landing/event_contract.sql"
Edit = tuple[str, str, str]  # a file, what stands in it, and what is put in its place

PLANTED: dict[str, tuple[list[Edit], str]] = {
    "a field without a row": (
        [(SEED, "*,country,geography,keep,tenant\n", "")],
        "nobody decided what becomes of field country of format amplitude: give it a row in field_policies",
    ),
    "a field with a row for all formats but one that maps it": (
        [
            (
                SEED,
                "*,sent_at,time,drop,restricted\n",
                "".join(f"{each},sent_at,time,drop,restricted\n" for each in settings.formats() if each != "quorum"),
            )
        ],
        "nobody decided what becomes of field sent_at of format quorum: give it a row in field_policies",
    ),
    "an action that no model can do": (
        [(SEED, "*,ip,ip_address,truncate,", "*,ip,ip_address,scrub,")],
        "no model can scrub field ip of format amplitude",
    ),
    "a mart that shows a field of the tenant plane": (
        [(SEED, "*,feature,label,keep_listed,published", "*,feature,label,keep_listed,tenant")],
        "mart_tenant_features shows feature, and field feature is for the plane tenant",
    ),
    "a mart of a tenant that shows its users": (
        [(TENANT_MART, "      - {name: health_state,", "      - {name: user_key}\n      - {name: health_state,")],
        "mart_tenant_accounts shows user_key, and field user_id is for the plane tenant",
    ),
    "a benchmark that shows a pseudonym": (
        [(BENCHMARK, "      - {name: feature,", "      - {name: account_key}\n      - {name: feature,")],
        "mart_benchmark_features shows account_key, and pseudonyms are for their own tenant alone",
    ),
    "a column that is not redacted": (
        [
            (REDACTED, "landed.occurred_at_rule,", "landed.occurred_at_rule,\n landed.referrer as came_from,"),
            (
                EVENTS,
                "      - {name: feature,",
                "      - {name: came_from}\n      - {name: feature,",
            ),
        ],
        "column came_from of int_events comes from no redact(...), nor is it listed in bookkeeping_columns",
    ),
    "a new field of the contract": (
        [(CONTRACT, "'platform': 'varchar',", "'platform': 'varchar',\n        'city': 'varchar',")],
        "nobody decided what becomes of field city of format amplitude: give it a row in field_policies",
    ),
}


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str | None]]:
    """Build what decides about fields, in a copy of the project; returns the refusal, or None."""
    root = tmp_path_factory.mktemp("decisions")
    project, workspace = root / "project", Workspace(root / "workspace")
    project.mkdir()
    for name in PROJECT:
        (shutil.copytree if (settings.project_directory() / name).is_dir() else shutil.copyfile)(
            settings.project_directory() / name, project / name
        )
    (workspace.root / "landing").mkdir(parents=True)
    workspace.prepare()
    with duckdb.connect(str(workspace.plane("restricted"))) as connection:
        columns = "source_format varchar, field varchar, class varchar, action varchar, audience varchar"
        connection.execute(f"create table field_policy_overrides ({columns})")

    selected = ["field_policies", "vocabulary", "int_field_decisions", "int_field_policies"]

    def build() -> str | None:
        runner._parsed.pop(project, None)
        dbt = Dbt(workspace)
        try:
            dbt.manifest()
            dbt._invoke("build", ["--select", *selected, "--indirect-selection", "empty", "--target", "tenant"])
        except QuorumError as refusal:
            return str(refusal).partition(": ")[2]
        return None

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("QUORUM_PROJECT", str(project))
        environment.chdir(project)
        assert not build(), "the project as it is"
        yield build


@pytest.mark.parametrize("bug", PLANTED)
def test_the_build_stops_at(bug: str, build: Callable[[], str | None]) -> None:
    edits, expected = PLANTED[bug]
    before = {name: Path(name).read_text() for name, _, _ in edits}
    try:
        for name, old, new in edits:
            assert old in Path(name).read_text()
            Path(name).write_text(Path(name).read_text().replace(old, new, 1))
        assert build() == expected
    finally:
        for name, text in before.items():
            Path(name).write_text(text)
