"""A tenant's page: the policy in plain, which is everybody's, and the tenant's own figures sealed with its key.

What is in plain is the same in each tenant's folder: what is taken, what becomes of it and how long it stays, as the
operator decided it, and nothing that came of anybody's rows. All figures, how fresh and how complete they are with
them, are sealed, and each of them comes of the tenant's own rows alone.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import duckdb

from quorum import warehouse
from quorum.bundles import Bundle
from quorum.digests import among
from quorum.marts import Published
from quorum.pages import rendering, sealing
from quorum.pages.plots import Scale, line
from quorum.pages.rendering import finite
from quorum.workspace import Workspace

# What becomes of a field, and who sees that, as a policy's rows call it.
ACTIONS = {
    "keep": "kept as it is",
    "keep_listed": "kept where it is a word of a public list, else dropped",
    "strip": "kept without what may name a person",
    "truncate": "cut to its network",
    "generalise": "replaced by its kind",
    "scrub": "kept without what looks like personal data",
    "coarsen": "rounded",
    "tokenise": "replaced by a pseudonym, under a key of yours",
    "tokenise_exact": "replaced by a pseudonym, under a key of yours",
    "drop": "dropped at once",
}
AUDIENCES = {
    "restricted": "nobody; the operator, while the raw row stays",
    "tenant": "the operator, in the warehouse",
    "published": "you, in your marts",
}
DAYS_SHOWN = 91
DAYS_COUNTED = 28

# What is taken of the formats that land here, which are folders of the operator's, and what becomes of it.
_POLICY = """
    select
        decided.field, decided.class, decided.action, decided.audience, stays.days,
        list_sort(list(decided.source_format)) as formats
    from restricted.int_field_decisions as decided
    left join restricted.class_retention as stays on stays.tenant_id = '*' and stays.class = decided.class
    where list_contains($1, decided.source_format)
    group by decided.field, decided.class, decided.action, decided.audience, stays.days
    order by decided.action = 'drop', decided.field like 'properties.%', decided.field, formats
"""
_DAYS = """
    select * from tenant.mart_tenant_daily
    where {among}
    qualify activity_date > max(activity_date) over (partition by tenant_key) - {shown}
    order by tenant_key, activity_date
"""
_FEATURES = """
    select tenant_key, week_start, feature, active_users, adopters, adoption_rate, adoption_rate_low,
        adoption_rate_high, adoption_rate_state
    from tenant.mart_tenant_features
    where {among} and feature <> '*'
    -- the newest week may not be over
    qualify dense_rank() over (partition by tenant_key order by week_start desc) = 2
    order by tenant_key, adopters desc, feature
"""
# Of the last days up to the last one that brought a row: whatever day it is on which somebody asks. After a month of
# silence days begin to leave the operator's table, and the page says nothing of them.
_ARRIVALS = """
    with days as (
        select *, max(utc_day) filter (rows_judged > 0) over (partition by tenant_key) as last_day,
            max(utc_day) over (partition by tenant_key) as today
        from restricted.gov_tenant_health_days where {among}
    )
    select
        tenant_key, last_day,
        cast(sum(accepted_events) as bigint) as accepted, cast(sum(quarantined_rows) as bigint) as refused,
        cast(sum(late_events) as bigint) as late,
        cast(count(*) filter (accepted_events > 0) as bigint) as days_with_events,
        cast(count(*) as bigint) as days, max_by(freshness_sla_hours, utc_day) as agreed_hours
    from days
    where utc_day between last_day - {before} and last_day and last_day >= today - {before}
    group by tenant_key, last_day
"""


@dataclass(frozen=True)
class TenantPages:
    """What the pages of some tenants are made of."""

    policy: list[dict[str, Any]]
    marts: list[tuple[str, str]]
    days: Mapping[str, list[dict[str, Any]]] = field(repr=False)
    features: Mapping[str, list[dict[str, Any]]] = field(repr=False)
    arrivals: Mapping[str, list[dict[str, Any]]] = field(repr=False)

    @classmethod
    def of(
        cls,
        connection: duckdb.DuckDBPyConnection,
        workspace: Workspace,
        published: Published,
        tenants: Sequence[str],
    ) -> "TenantPages":
        """Read what pages say; the connection sees the tenant and the restricted plane under their names."""
        formats = sorted(folder.name for folder in workspace.landing.iterdir() if folder.is_dir())
        policy = warehouse.rows(connection, _POLICY, [formats])

        def of_each(query: str, **numbers: int) -> Mapping[str, list[dict[str, Any]]]:
            found = defaultdict(list)
            text = query.format(among=among("tenant_key"), **numbers)
            for row in warehouse.rows(connection, text, [list(tenants)]):
                found[row["tenant_key"]].append(row)
            return found

        return cls(
            policy=[row | {"formats": row["formats"] if row["formats"] != formats else []} for row in policy],
            marts=[(mart.name, mart.meaning.split(". ")[0].rstrip(".")) for mart in published.of_tenants],
            days=of_each(_DAYS, shown=DAYS_SHOWN),
            features=of_each(_FEATURES),
            arrivals=of_each(_ARRIVALS, before=DAYS_COUNTED - 1),
        )

    def check(self, bundle: Bundle) -> str:
        """Return what tells whether the tenant's page would be another one than that of the last release."""
        tenant = bundle.tenant_key
        content = [part.get(tenant) for part in (self.days, self.features, self.arrivals)]
        text = json.dumps([rendering.version(), self.policy, self.marts, content], default=str)
        return sealing.check(text.encode(), bundle.key)

    def page(self, bundle: Bundle) -> bytes:
        """Render the page, with a new seal."""
        figures = sealing.sealed(self.figures(bundle.tenant_key), bundle.key)
        return rendering.page(
            "tenant.html", policy=self.policy, actions=ACTIONS, audiences=AUDIENCES, marts=self.marts, sealed=figures
        )

    def figures(self, tenant: str) -> bytes:
        """Render what will be sealed."""
        days = self.days.get(tenant, [])
        return rendering.page(
            "tenant_figures.html",
            newest=days[-1] if days else None,
            quiet=sum(row["events"] == 0 for row in days[-DAYS_COUNTED:]),
            users=_curves(days),
            arrivals=next(iter(self.arrivals.get(tenant, [])), None),
            features=_features(self.features.get(tenant, [])),
            weeks=_weeks(days),
        )


def _curves(days: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return weekly and daily active users of the last days as paths; None for a single day."""
    if len(days) < 2:
        return None
    scale = Scale.of(finite(row["weekly_active_users"] for row in days), wanted=2)

    def path(metric: str) -> str:
        places = enumerate(days)
        return line([(round(100 * n / (len(days) - 1), 2), round(100 - scale.at(row[metric]), 2)) for n, row in places])

    return {
        "scale": scale,
        "weekly": path("weekly_active_users"),
        "daily": path("daily_active_users"),
        "first": days[0]["activity_date"],
        "last": days[-1]["activity_date"],
    }


def _weeks(days: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return every seventh day back from the newest, with sums over the seven that end with it; the newest first."""
    rows = []
    for end in range(len(days) - 1, -1, -7):
        week = days[max(0, end - 6) : end + 1]
        sums: dict[str, Any] = {name: sum(row[name] for row in week) for name in ("events", "sessions", "new_users")}
        last: date = days[end]["activity_date"]
        first = last - timedelta(days=len(week) - 1)
        rows.append({**sums, "users": days[end]["weekly_active_users"], "first": first, "last": last})
    return rows


def _features(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    if not rows:
        return None
    ends = ("adoption_rate", "adoption_rate_low", "adoption_rate_high")
    scale = Scale.of(finite(row[end] for row in rows for end in ends))
    marks = [
        {
            **row,
            "x": scale.at(row["adoption_rate"]),
            "from": scale.at(row["adoption_rate_low"]),
            "to": scale.at(row["adoption_rate_high"]),
        }
        for row in rows
        if row["adoption_rate"] is not None
    ]
    return {"week": rows[0]["week_start"], "users": rows[0]["active_users"], "scale": scale, "rows": marks}
