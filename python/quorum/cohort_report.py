"""``quorum cohorts``: the newest map, why it is so, and how good its cohorts are. Exact, for the operator."""

from typing import Any

from quorum import warehouse
from quorum.errors import BadInput
from quorum.workspace import Workspace

_NEWEST = """
    with newest as (
        select distinct
            period_start, cohort_key, reason, registered_contributors, consenting_contributors, information_loss
        from cohort_maps where period_start = (select max(period_start) from release_periods)
    ),
    rests as (
        select period_start, cohort_key, string_agg(distinct resting, ', ' order by resting) as resting
        from cohort_maps group by all
    )
    select
        newest.period_start, newest.cohort_key, newest.reason, newest.consenting_contributors as consenting,
        newest.registered_contributors as registered, newest.information_loss,
        transitions.cohort_key is not null as in_transition, rests.resting
    from newest
    left join rests using (period_start, cohort_key)
    left join cohort_transitions as transitions using (period_start, cohort_key)
    order by newest.cohort_key
"""
_QUALITY = """
    select
        release, period_start, cohort_key, segment, is_eligible, contributors, users, weight,
        round(largest_share, 3) as largest_share, round(prosecutor_risk, 3) as prosecutor_risk,
        round(journalist_risk, 3) as journalist_risk, round(marketer_risk, 3) as marketer_risk,
        round(withheld_contributors_share, 3) as withheld_contributors, round(withheld_users_share, 3) as withheld_users
    from cohort_quality
    order by release, period_start, cohort_key, segment
"""


def of_cohorts(workspace: Workspace) -> dict[str, Any]:
    """Return the cohorts of the newest period that was measured, and the quality of all that was answered then."""
    with warehouse.opened(workspace, "cross_tenant", read_only=True) as connection:
        if not warehouse.has(connection, "cohort_quality"):
            raise BadInput("nothing is measured yet: `quorum run` answers the releases that are due")
        return {"cohorts": warehouse.rows(connection, _NEWEST), "quality": warehouse.rows(connection, _QUALITY)}
