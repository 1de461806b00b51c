"""What is told of experiments is what the raw events say, in whatever batches these land."""

import random
from collections.abc import Iterator
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from typing import Any

from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.histories import event, registered
from tests.end_to_end.oracle import Oracle
from tests.end_to_end.truth_experiments import experiments

BATCHES = 2
BEGIN = datetime(2026, 3, 1, 23, 40, tzinfo=UTC)  # lately: who says that it is a robot is forgotten after a while
MART = "select * from mart_tenant_experiments order by all"
COLUMNS = (
    "tenant_id,experiment,exposure_event,experiment_property,variant_property,control,metric_event,starts_on,ends_on,"
    "min_sample,min_days"
)
BUTTON = "checkout_button,page_view,experiment,variant,control,purchase,2026-03-02,2026-03-11,20,5"
RANKING = "search_ranking,page_view,experiment,variant,treatment,checkout,2026-03-03,2026-03-31,20,9"
TOUR = "onboarding_tour,signup,experiment,variant,control,purchase,2026-03-01,2026-03-12,30,13"
DECLARED = [f"{tenant},{BUTTON}" for tenant in ("split", "astray", "moved")] + [f"split,{RANKING}", f"*,{TOUR}"]
WEIGHTS = {
    "checkout_button": {"control": 1, "treatment": 1},
    "search_ranking": {"control": 2, "treatment": 1, "treatment_b": 1},
    "onboarding_tour": {"control": 1, "treatment": 1},
}
# tenant, its persons, how often the first variant of an experiment is seen, and how often each variant converts
TENANTS: list[tuple[str, int, float, dict[str, float]]] = [
    ("split", 160, 0.5, {"control": 0.25, "treatment": 0.75}),
    ("astray", 130, 0.75, {"control": 0.5, "treatment": 0.5}),
    ("moved", 120, 0.5, {"control": 1, "treatment": 0}),
    ("by default", 90, 0.5, {"control": 0.5, "treatment": 0.5}),
    ("few", 12, 0.5, {}),
    ("idle", 0, 0.5, {}),
]


def lives(tenant: str, number: int, first: float, rates: dict[str, float], dice: random.Random) -> Iterator[Any]:
    """Yield what a person does: exposures, now and then to another variant or none, and successes before and after."""
    user, device = f"u{number}", dice.choice(["", f"d{number}", f"d{number // 2}"])
    robot = {"user_agent": "curl/8"} if dice.random() < 0.04 else {}

    def happens(name: str, day: float, **said: str) -> dict[str, Any]:
        who = dice.choice([(user, device), (user, ""), ("", device)] if device else [(user, "")])
        at = BEGIN + timedelta(seconds=round(day * 86_400))
        number = f"{name}{dice.randrange(10**9)}"
        return event(tenant, who[0], number, at, event_name=name, properties=said, anonymous_id=who[1], **robot)

    for experiment, weights in WEIGHTS.items():
        day = dice.uniform(-1, 9)
        variant = list(weights)[0 if dice.random() < first else dice.randrange(1, len(weights))]
        name = "signup" if experiment == "onboarding_tour" else "page_view"
        for again in range(dice.choice([1, 1, 2])):
            shown = dice.choice(["control", "treatment", "unheard of"]) if dice.random() < 0.06 else variant
            yield happens(name, day + again * dice.random(), experiment=experiment, variant=shown)
        if dice.random() < rates.get(variant, 0.4):
            yield happens(dice.choice(["purchase", "checkout"]), day + dice.expovariate(1))
        if dice.random() < 0.1:
            yield happens("purchase", day - dice.random())


def land(workspace: Workspace, dice: random.Random) -> None:
    """Land everything in batches, now and then twice and not as it was."""
    batches: list[list[dict[str, Any]]] = [[] for _ in range(BATCHES)]
    for tenant, persons, first, rates in TENANTS:
        batches[0].append(event(tenant, "somebody", "first", BEGIN))
        batches[-1].append(event(tenant, "somebody", "last", BEGIN + timedelta(days=9)))
        for number in range(persons):
            for row in lives(tenant, number, first, rates, dice):
                for batch in dice.choices(range(BATCHES), k=dice.choice([1, 1, 1, 2])):
                    moved = BEGIN + timedelta(days=dice.uniform(0, 9)) if dice.random() < 0.05 else None
                    instant = {"occurred_at": moved.isoformat(), "received_at": moved.isoformat()} if moved else {}
                    batches[batch].append(row | instant)
    for number, rows in enumerate(batches):
        worlds.land(workspace, f"{number}.held", rows)


def test_the_mart_is_what_the_raw_lines_say(tmp_path_factory: Any) -> None:
    zones = {"astray": "America/St_Johns", "by default": "Asia/Kolkata"}
    versions = [registered(tenant, timezone=zones.get(tenant, "UTC")) for tenant, *_ in TENANTS]
    versions += [registered("moved", valid_from="2026-03-06", timezone="Pacific/Apia")]
    workspace = worlds.registered(tmp_path_factory.mktemp("experiments"), versions)
    listed = [("split", "2026-03-04", "u3", "", "internal"), ("split", "2026-03-01", "u4", "", "test")]
    worlds.declare(workspace, "internal_users", "tenant_id,valid_from,user_id,anonymous_id,listed_as", listed)
    declare(workspace, DECLARED)
    land(workspace, random.Random(9))

    told = set()
    for batch in range(BATCHES):
        (workspace.landing / "quorum" / f"{batch}.held").rename(workspace.landing / "quorum" / f"{batch}.jsonl")
        told |= compare(workspace)
    assert {verdict for verdict, _ in told} == {"control", "better", "worse", "no_difference", "do_not_read_yet"}
    assert {reason for _, reason in told} == {None, "sample_ratio_mismatch", "too_few_users", "too_few_days"}

    # nothing lands, and what is a success is another event for one of the tenants
    declare(workspace, [row.replace("control,purchase", "control,checkout") for row in DECLARED[:1]] + DECLARED[1:])
    compare(workspace)


def declare(workspace: Workspace, declared: list[str]) -> None:
    rows = [row.split(",") for row in declared]
    worlds.declare(workspace, "experiments", COLUMNS, [tuple(row) for row in rows])
    variants = [
        (tenant, experiment, variant, str(weight))
        for tenant, experiment, *_ in rows
        for variant, weight in WEIGHTS[experiment].items()
    ]
    worlds.declare(workspace, "experiment_variants", "tenant_id,experiment,variant,weight", variants)


def compare(workspace: Workspace) -> set[tuple[str, str | None]]:
    """Do a night, hold the mart against the truth, and return the verdicts."""
    worlds.build(workspace, only=["mart_tenant_experiments"])
    truth = experiments(workspace.root, Oracle(workspace.root, worlds.LAST_DAY))
    expected = {tenant: [astuple(row) for row in rows] for tenant, rows in truth.items()}
    assert worlds.rows_by_tenant(workspace, MART) == expected
    return {(row.verdict, row.verdict_reason) for rows in truth.values() for row in rows}
