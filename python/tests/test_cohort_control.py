"""Maps in the order of time: the answers say which are in force, what passed, and so what comes after."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from quorum import cohort_control, cohort_map, release, release_control, warehouse
from quorum.budget import Slot
from quorum.cohort_control import History
from quorum.cohort_map import PATIENCE, Hierarchy
from quorum.ledger import Answer
from quorum.measurement import Plan
from quorum.policy import Spec
from quorum.workspace import Workspace
from tests.specs import SELECTION, SPEC

WEEKS = [date(2026, 1, 5) + timedelta(days=7 * number) for number in range(12)]
LEAST = 5
NO_PARENTS = [{"attribute": attribute, "value": "*", "parent": "*"} for attribute in cohort_map.ATTRIBUTES]
HIERARCHY = Hierarchy({(row["attribute"], row["value"]): row["parent"] for row in NO_PARENTS})


def version(tenant: str, labels: str = "retail/eu/small", **facts: Any) -> dict[str, Any]:
    """Return a row of dim_tenants."""
    return {
        "tenant_key": tenant,
        "valid_from": date(2025, 1, 1),
        "listing": "default" if tenant == "*" else "listed",
        "owner_group": None,
        **dict(zip(cohort_map.ATTRIBUTES, labels.split("/"), strict=True)),
        "benchmark_consent": True,
        **facts,
    }


def answer(start: date, passed: str = "", failed: str = "", release: str = "r", **cohort_map: Any) -> Answer:
    """Return an answer over two lists of atoms."""
    atoms = [{"key": key, "level": "atom", "segment": None, "members": [key]} for key in passed.split()]
    atoms += [{"key": key, "level": "atom", "segment": None, "members": []} for key in failed.split()]
    union = {"key": "union", "level": "all", "segment": None, "members": passed.split()}
    slot = Slot("users", release, "week", start, start + timedelta(days=7), "spec", "policy")
    payload: dict[str, Any] = {"cohorts": [*atoms, union]}
    return Answer(f"{release} {start}", slot, payload | ({"cohort_map": cohort_map} if cohort_map else {}))


def cohorts(
    versions: list[dict[str, Any]], starts: list[date], answers: list[Answer] | None = None
) -> dict[tuple[date, str], str]:
    """Return the cohort of each row of labels in each week."""
    rows = cohort_control.maps(versions, starts, HIERARCHY, LEAST, History.of(answers or []))
    found = {(row["period_start"], "/".join(row[name] for name in cohort_map.ATTRIBUTES)): row for row in rows}
    assert len(found) == len(rows), "one row of labels has one place"
    return {place: row["cohort_key"] for place, row in found.items()}


FIVE = [version(f"tenant {number}") for number in range(5)]


def test_which_releases_are_due_has_no_part_in_what_cohorts_there_are(tmp_path: Path) -> None:
    """What a tenant's quota holds up is not due, and one user's row can decide that: so all that are declared count."""
    wide = replace(SPEC, name="wide", atom_min_contributors=40, min_tenants=7)
    selection = replace(SELECTION, min_tenants=9)
    workspace = Workspace(tmp_path)
    workspace.landing.mkdir()
    workspace.prepare()
    tenants = [version(f"t{number}", f"media/eu/{'small' if number < 25 else 'large'}") for number in range(50)]
    with warehouse.opened(workspace, "tenant") as connection:
        warehouse.replace(connection, "dim_tenants", pa.Table.from_pylist(tenants))
        warehouse.replace(connection, "cohort_hierarchies", pa.Table.from_pylist(NO_PARENTS))

    def found(due: list[Spec], declared: list[Spec]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        release_control.write(workspace, [is_due(spec, WEEKS[0]) for spec in due], declared)
        with warehouse.opened(workspace, "cross_tenant", read_only=True) as connection:
            maps = warehouse.rows(connection, "from cohort_maps order by all")
            return maps, warehouse.rows(connection, "select distinct thin_below from release_periods")

    declared = [SPEC, wide, selection]
    of_all = found([SPEC, wide], declared)
    assert of_all[1] == [{"thin_below": 7}], "a selection is over no cohort"
    assert found([SPEC], declared) == found([wide], declared) == of_all
    assert found([SPEC], [SPEC]) != of_all, "else this test shows nothing"


def is_due(spec: Spec, start: date) -> release.Due:
    layout = spec.layout({})
    return release.Due(spec, start, start + timedelta(days=7), layout, Plan.of(spec, layout), "policy")


def test_weeks_of_one_night_follow_each_other() -> None:
    """The fifth of five withdraws: an atom that is there stays, a new one would not come."""
    left = [*FIVE, version("tenant 4", valid_from=WEEKS[1], benchmark_consent=False)]
    of = "retail/eu/small"
    assert cohorts(left, WEEKS[:3]) == {(week, of): of for week in WEEKS[:3]}
    assert cohorts(left, WEEKS[1:3]) == {(week, of): "*/*/*" for week in WEEKS[1:3]}


def test_a_map_that_was_answered_stays_in_force() -> None:
    """Whatever the registry says today; also where an answer only looked back at it."""
    of = "retail/eu/small"
    wide = answer(WEEKS[1], failed="*/*/*", previous_start=str(WEEKS[0]), previous=["retail/*/*"])
    found = cohorts(FIVE, WEEKS[:3], [wide])
    assert found == {(WEEKS[0], of): "retail/*/*", (WEEKS[1], of): "*/*/*", (WEEKS[2], of): of}
    own = answer(WEEKS[0], passed=of)
    assert cohorts(FIVE, WEEKS[:1], [wide, own]) == {(WEEKS[0], of): of}, "its own answer knows best"


def test_a_map_follows_the_newest_before_it() -> None:
    four, of = FIVE[:4], "retail/eu/small"
    assert cohorts(four, [WEEKS[3]], [answer(WEEKS[0], of)]) == {(WEEKS[3], of): of}
    later = [answer(WEEKS[0], of), answer(WEEKS[2], "*/*/*")]
    assert cohorts(four, [WEEKS[3]], later) == {(WEEKS[3], of): "*/*/*"}
    assert cohorts(four, [WEEKS[1]], later) == {(WEEKS[1], of): of}, "not one after it"


def failing(count: int = PATIENCE, **facts: Any) -> list[Answer]:
    """Return answers in which only others pass."""
    return [answer(week, passed="else", failed="retail/eu/small", **facts) for week in WEEKS[:count]]


@pytest.mark.parametrize(
    ("answers", "rests"),
    [
        (failing(), True),
        (failing(PATIENCE - 1), False),
        (failing(in_transition=["retail/eu/small"]), False),
        ([*failing(), answer(WEEKS[1], passed="retail/eu/small", release="another")], False),
        ([*failing(), *failing(release="another")], True),
    ],
)
def test_what_the_answers_say_decides_what_rests(answers: list[Answer], rests: bool) -> None:
    others = [version(f"other {number}", "media/us/large") for number in range(2)]
    found = cohorts([*FIVE, *others], [WEEKS[PATIENCE]], answers)
    assert set(found.values()) == ({"*/*/*"} if rests else {"retail/eu/small", "*/*/*"})
    assert set(cohorts([*FIVE, *others], [WEEKS[PATIENCE - 1]], answers).values()) == {"retail/eu/small", "*/*/*"} or (
        WEEKS[PATIENCE - 1] in History.of(answers).in_force
    ), "an answer says nothing to the weeks before it"


def test_who_is_counted_and_of_which_day() -> None:
    """As whom the registry has them when the period begins; who refuses is on it and in no cohort."""
    versions = [
        version("a", owner_group="twins"),
        version("b", owner_group="twins"),
        version("c", benchmark_consent=False),
        version("c", valid_from=WEEKS[1], benchmark_consent=True),
        version("d", valid_from=WEEKS[2]),
        version("*", "unknown/unknown/unknown"),
    ]
    rows = cohort_control.maps(versions, WEEKS[:3], HIERARCHY, LEAST, History())
    counted = [
        (row["consenting_contributors"], row["registered_contributors"]) for row in rows if row["industry"] == "retail"
    ]
    assert counted == [(1, 2), (2, 2), (3, 3)]
    [crowd] = {row["cohort_key"] for row in rows if row["industry"] == "unknown"}
    assert crowd == "unknown/unknown/unknown"
