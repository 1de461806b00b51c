"""What mart_tenant_vs_benchmark should hold of one release, worked out from the stored answer and tenants' own rows."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from quorum import comparisons, release
from quorum.ledger import Ledger
from quorum.rules import load_policies
from quorum.runner import Dbt
from quorum.workspace import Workspace
from tests.end_to_end import worlds

WEEK = worlds.LAST_DAY - timedelta(days=6)
MART = "mart_tenant_vs_benchmark"
ADOPTION = f"""
select tenant_key, key, status, cohort_level, cohort, is_in_cohort, tenant_users, tenant_estimate, others_users,
    others_estimate, others_estimate_low, others_estimate_high, difference, is_more_than_noise
from {MART} where metric = 'adoption' and period_start = ?
"""
OWN = """
select tenant_key, feature, count(distinct unit_key), any_value(users)
from int_events
inner join (
    select tenant_key, count(distinct unit_key) as users from int_events where occurred_at >= $1 group by tenant_key
) using (tenant_key)
where occurred_at >= $1
group by tenant_key, feature
"""
Z = 1.959964


@dataclass(frozen=True)
class Others:
    """The others of one cohort, worked out from the stored answer and the tenant's own rows."""

    users: float
    estimate: float
    variance: float  # of the estimate's numerator less r times its denominator, by r
    scale: int
    centre: int
    count_scale: int

    def is_end(self, end: float) -> bool:
        """Say whether an interval ends here (Fieller): the data are z standard deviations off."""
        form = (self.centre / self.scale - end) / self.count_scale
        sigma = math.sqrt(self.variance * (form**2 + 1 / self.scale**2))
        return abs(abs(self.estimate - end) * self.users / sigma - Z) < 1e-3


def reconciled(answer: Mapping[str, Any]) -> dict[tuple[str, str], tuple[Any, float]]:
    """Return the least-squares estimate of each cohort's vector, and its variance; the cells are no partition."""
    told = [cohort for cohort in answer["cohorts"] if cohort["noisy"] is not None]
    atoms = sorted({atom for cohort in told for atom in cohort["members"]})
    weights = np.array([1 / answer["scales"][cohort["level"]] for cohort in told])
    members = np.array([[float(atom in cohort["members"]) for atom in atoms] for cohort in told])
    weighted = weights[:, None] * members
    found, *_ = np.linalg.lstsq(weighted, weights[:, None] * np.array([c["noisy"] for c in told], dtype=float))
    variances = np.linalg.pinv(weighted.T @ weighted)
    return {
        (cohort["level"], cohort["key"]): (row @ found, float(row @ variances @ row))
        for cohort, row in zip(told, members, strict=True)
    }


def truth(workspace: Workspace, rows: list[tuple[Any, ...]]) -> dict[tuple[str, str], tuple[float, int, Others]]:
    """Return a tenant's own share of users, their number, and the others, for each released row of adoption."""
    [answer] = [
        answer.payload
        for answer in Ledger.open(workspace.ledger_url).answers("feature_usage")
        if answer.slot.start == WEEK
    ]
    layout = answer["layout"]
    [block], cap = layout["blocks"], layout["tenant_cap"]
    s, c = block["scale"], block["centre"]
    assert block["max_cells"] == len(block["cells"]), "a user counts in full for each feature"
    users: dict[str, int] = {}
    adopters: dict[tuple[str, str], int] = defaultdict(int)
    for tenant, feature, adopted, active in worlds.fetch(workspace, "tenant", OWN, [WEEK]):
        users[tenant], adopters[tenant, feature] = active, adopted
    vectors, members = reconciled(answer), {(x["level"], x["key"]): x["members"] for x in answer["cohorts"]}
    keys = [cell["key"] for cell in block["cells"]]
    [(count_scale,)] = worlds.fetch(
        workspace, "cross_tenant", "select distinct count_scale from release_periods where release = 'feature_usage'"
    )
    found = {}
    for tenant, key, status, level, cohort, is_in_cohort, *_ in rows:
        n, adopted = users.get(tenant, 0), adopters[tenant, key]
        weight = min(n, cap)
        if status == "released":
            assert is_in_cohort == bool(members[level, cohort]) is True
            values, variance = vectors[level, cohort]
            active = values[0] / count_scale
            others = active - weight
            adopting = (values[1 + keys.index(key)] + c * active) / s - adopted * weight / n
            found[tenant, key] = (adopted / n, weight, Others(others, adopting / others, variance, s, c, count_scale))
    return found


def faults(workspace: Workspace, rows: list[tuple[Any, ...]]) -> set[str]:
    """Return the columns that are not as they are worked out to be."""
    expected, told = truth(workspace, rows), set()
    assert len(expected) > 100
    for tenant, key, status, _, _, _, users, own, others_users, estimate, low, high, difference, is_more in rows:
        if status != "released":
            continue
        share, weight, others = expected[tenant, key]
        told |= {"tenant_users"} if users != weight else set()
        told |= {"tenant_estimate"} if own != pytest.approx(share, abs=2e-6) else set()
        told |= {"others_users"} if others_users != pytest.approx(others.users, abs=1e-3) else set()
        told |= {"others_estimate"} if estimate != pytest.approx(others.estimate, abs=2e-6) else set()
        told |= {"interval"} if not (low < estimate < high and others.is_end(low) and others.is_end(high)) else set()
        told |= {"difference"} if difference != pytest.approx(own - estimate, abs=1e-9) else set()
        told |= {"is_more_than_noise"} if is_more == (low <= own <= high) else set()
    return told


def compare_again(workspace: Workspace, as_of: date = worlds.LAST_DAY) -> None:
    """Do the night's step once more, over the answers that the ledger has."""
    policies, ledger = load_policies(workspace, Dbt(workspace), worlds.LAST_DAY), Ledger.open(workspace.ledger_url)
    given = [answer for spec in policies.specs for answer in ledger.answers(spec.name)]
    comparisons.write(workspace, release.shown(given, []), policies.specs, as_of)
