"""``quorum init``, ``simulate`` and ``demo``: the commands that make a workspace."""

from datetime import datetime
from typing import Any

import click

from quorum import report, settings
from quorum.cli_options import progress
from quorum.errors import BadInput
from quorum.workspace import Workspace

RELEASES_TEMPLATE = """\
# Make a release stricter, or choose among the periods that it declares. Nothing here can loosen it.
# releases:
#   feature_usage:
#     period: day
#     tolerance_points: 4
releases: {}
"""


@click.option("--tenants", default=150, show_default=True)
@click.option("--users", default=1200, show_default=True, help="Weekly active users of the largest tenant.")
@click.option("--days", default=28, show_default=True)
@click.option("--seed", default=7, show_default=True)
def demo(workspace: Workspace, tenants: int, users: int, days: int, seed: int) -> dict[str, Any]:
    """Simulate a small multi-tenant SaaS into a fresh workspace, run the job, and say what to open."""
    from quorum import nightly
    from quorum.simulate import Shape, simulate

    say = progress()
    say("simulating")
    shape = Shape(tenants=tenants, users=users, days=days, seed=seed)
    simulate(workspace.root, shape)
    return report.of_run(workspace, nightly.run(workspace, shape.last_day, say))


@click.option("--format", "formats", multiple=True, default=("quorum",), show_default=True, help="Raw formats to land.")
def init(workspace: Workspace, formats: tuple[str, ...]) -> dict[str, Any]:
    """Make a workspace with a registry and a policy to edit."""
    from quorum import registry

    unknown = sorted(set(formats) - set(settings.formats()))
    if unknown:
        raise BadInput(f"{unknown[0]} is no known format: expected one of {', '.join(settings.formats())}")
    tenants, releases = workspace.registry / "tenants.csv", workspace.policy / "releases.yml"
    for file, content in ((tenants, registry.template()), (releases, RELEASES_TEMPLATE)):
        if file.exists():
            raise BadInput(f"{file} is there already: nothing was changed")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    for name in formats:
        (workspace.landing / name).mkdir(parents=True, exist_ok=True)
    return {"registry": tenants, "policy": releases, "landing": workspace.landing}


@click.option("--tenants", default=150, show_default=True)
@click.option("--users", default=1500, show_default=True, help="Weekly active users of the largest tenant.")
@click.option("--days", default=28, show_default=True)
@click.option("--last-day", type=click.DateTime(["%Y-%m-%d"]), default="2026-03-29", show_default=True)
@click.option("--seed", default=7, show_default=True)
@click.option("--defects/--no-defects", default=True, show_default=True)
def simulate(workspace: Workspace, last_day: datetime, **shape: Any) -> dict[str, Any]:
    """Write deterministic raw events, a registry, and the truth beside them."""
    from quorum import simulate as simulator

    truth = simulator.simulate(workspace.root, simulator.Shape(last_day=last_day.date(), **shape))
    return {
        "rows": truth.rows,
        "accepted": truth.accepted,
        "duplicates": truth.duplicates,
        "broken": truth.broken,
        "tenants": truth.tenants,
        "users": truth.users,
        "landing": workspace.landing / "quorum",
        "truth": workspace.root / "truth",
    }
