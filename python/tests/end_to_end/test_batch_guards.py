"""What a batch writes twice, or where it should not, stops the night, and the next makes it good: planted bugs."""

from collections.abc import Callable

import pytest

from quorum import following, warehouse
from quorum.errors import QuorumError
from quorum.runner import Dbt
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.test_product_nights import tenant_plane

BuildAgain = Callable[..., None]  # of the nodes that are named, or all

# As if the last days had come anew: they are built once more, and nothing else.
CHANGED = """
insert into int_event_changes
select tenant_key, unit_key, min(occurred_at), max(occurred_at)
from tenant.int_events
where occurred_at >= (select max(occurred_at) - interval 2 day from tenant.int_events)
group by tenant_key, unit_key, occurred_at::date
"""
# The model, what stands in it, what does what it should not, and what fails then.
PLANTED = {
    "a batch that writes its events twice": (
        "fct_events",
        "select * from with_week",
        "select * from with_week union all select * from with_week",
        "unique_key_fct_events",
    ),
    "a batch that forgets whose event it is": (
        "fct_events",
        "        unit_key,\n        person_key,",
        "        cast(null as varchar) as unit_key,\n        person_key,",
        "fct_events",
    ),
    "a batch that counts days which it does not delete": (
        "fct_person_days",
        "{{ of_affected(ref('fct_events')) }}",
        "select * from {{ ref('fct_events') }}",
        "fct_person_days",
    ),
    "a batch that gives an account of a day a row for each person": (
        "int_active_weeks",
        "    select distinct\n        tenant_key,\n        'accounts'",
        "    select\n        tenant_key,\n        'accounts'",
        "unique_key_int_active_weeks",
    ),
}


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A small world, built."""
    workspace = worlds.simulated(tmp_path_factory.mktemp("batch_guards") / "w")
    worlds.build(workspace)
    return workspace


@pytest.fixture
def build_again(followed: Workspace) -> BuildAgain:
    """The last days come anew; the tenant stage of a night follows, with its tests, or with those of some nodes."""

    def again(*nodes: str) -> None:
        with (
            warehouse.opened(followed, "restricted") as connection,
            warehouse.beside(connection, followed, "tenant"),
        ):
            connection.execute(CHANGED)
        dbt = Dbt(followed)
        if nodes:
            dbt.manifest()
            # fmt: off
            dbt._invoke("build", [
                "--select", *nodes, "--indirect-selection", "cautious", "--target", "tenant",
                "--exclude-resource-type", "unit_test",
            ])
            # fmt: on
        else:
            dbt.build("tenant", "tenant")
        following.settle(followed)

    return again


def test_what_a_batch_writes_wrongly_stops_the_night(
    followed: Workspace, build_again: BuildAgain, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tenant_plane(followed)
    nodes = Dbt(followed).manifest().nodes
    for bug, (model, stands, planted, failing) in PLANTED.items():
        node = nodes[f"model.quorum.{model}"]
        assert node.raw_code.count(stands) == 1, bug
        with monkeypatch.context() as patch:
            patch.setattr(node, "raw_code", node.raw_code.replace(stands, planted))
            with pytest.raises(QuorumError, match=rf"failed in \w*{failing}"):
                build_again(model, f"+{model},path:models/tenant")
        if failing == model:  # refused, and not for the want of sense in what was planted
            log = followed.restricted / "dbt" / "logs" / "dbt.log"
            assert f"{model} wrote what the batch does not affect" in log.read_text(), bug
    build_again()
    assert tenant_plane(followed) == before


def test_a_key_that_stands_outside_the_batch_too_is_found(followed: Workspace, build_again: BuildAgain) -> None:
    """An event of the batch is in there once more, at an instant of which the batch says nothing."""
    copy = """
        insert into int_events
        select * replace (occurred_at - interval 10 day as occurred_at)
        from int_events order by occurred_at desc, event_key limit 1
    """
    with warehouse.opened(followed, "tenant") as connection:
        connection.execute(copy)
    with pytest.raises(QuorumError, match="unique_key_int_events"):
        build_again("int_events,resource_type:test")
