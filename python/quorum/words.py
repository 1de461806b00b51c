"""What the commands say: figures that were gathered into plain dictionaries, put into words."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from quorum import health

WITHHELD = {
    "ineligible": "the cohort is no quorum, or not beyond doubt",
    "imprecise": "its error would exceed the tolerance",
    "budget": "the privacy budget has no room for it",
}


def render(name: str, found: Mapping[str, Any]) -> str:
    """Put what a command found into words."""
    words = {
        "run": _run,
        "backfill": _run,
        "demo": _run,
        "plan": _plan,
        "rollback": _rollback,
        "randomise": _randomise,
        "ledger": _ledger,
        "status": _status,
        "cohorts": _cohorts,
        "keys": _keys,
        "access": _access,
        "request": _look,
        "approve": _look,
        "requests": _requests,
        "mirror": _mirror,
    }
    return words[name](found) if name in words else _pairs(found)


def _run(found: Mapping[str, Any]) -> str:
    rows, reasons = found["rows"], found["quarantined_by_reason"]
    lines = [
        f"As of {found['as_of']}",
        "",
        f"Rows in       {rows['read']:,} in {rows['files']:,} files, of {found['tenants']:,} tenants with activity",
        f"  accepted    {rows['accepted']:,}",
        f"  duplicate   {rows['duplicate']:,}",
        f"  deferred    {rows['deferred']:,}" + (" beyond a quota, for later nights" if rows["deferred"] else ""),
        f"  quarantined {rows['quarantined']:,}"
        + (f" ({', '.join(f'{reason} {n:,}' for reason, n in reasons.items())})" if reasons else ""),
        *(
            [f"  {rows['unchecked_files']:,} files came without gzip or SHA256SUMS: damage in them would not show"]
            if rows["unchecked_files"]
            else []
        ),
        "",
        "Released, for whom a loss counts per user of one tenant and period",
        *(
            [_table(_by_release(found["releases"]))]
            if found["releases"]
            else ["  nothing was due: each closed period has its answer"]
        ),
        *(f"  refused: {refusal}" for refusal in found["refused"]),
        *(f"  waits for rows that a tenant's quota deferred: {waiting}" for waiting in found["waiting"]),
        "",
        "Benchmark rows (every key of the public keyset has one)",
    ]
    for status, count in sorted(found["benchmark_rows"].items(), key=lambda item: -item[1]):
        lines.append(f"  {status:<11} {count:,}" + (f": {WITHHELD[status]}" if status in WITHHELD else ""))
    if found["highlights"]:
        lines += [
            "",
            "For example, the feature on which cohorts differ most in the newest period",
            _table(found["highlights"]),
        ]
    lines += [
        "",
        f"Published     {found['published'] or 'nothing new: the last release stands'}",
        f"Write down    {found['head']} (`quorum verify --head` checks that nothing up to here was put back or cut)",
        f"Open          {found['open']}/cross_tenant/index.html in a browser (or benchmarks.duckdb beside it)",
    ]
    if found["bundle"]:
        lines += [
            f"              {found['open']}/tenants/{found['bundle']}/tenant.duckdb",
            f"              and {found['bundles'] - 1:,} more; each is encrypted with its tenant's own key:",
            "              quorum keys --tenant <tenant_id> hands it over and says how to open it (and index.html)",
        ]
    if found.get("mirror"):
        lines.append(f"Mirrored      {found['mirror']['mirrored']} in PostgreSQL")
    if found["development_key"]:
        lines += [
            "",
            "The master key is a development key in the workspace: set QUORUM_MASTER_KEY before real data comes in.",
        ]
    return "\n".join(lines)


def _by_release(releases: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per release; its periods cost the same."""
    rows = []
    for name in dict.fromkeys(each["release"] for each in releases):
        periods = [each for each in releases if each["release"] == name]
        starts = [str(each["period_start"]) for each in periods]
        cost = {key: periods[0][key] for key in ("rho", "epsilon", "delta")}
        counted = f"{len(periods)} of a {periods[0]['period']}"
        rows.append({"release": name, "periods": counted, "first": min(starts), "last": max(starts), **cost})
    return rows


def _plan(found: Mapping[str, Any]) -> str:
    waits = [f"{name} waits until there is a key that it may ask about" for name in found["waits_for_keys"]]
    if not found["due"]:
        nothing = f"As of {found['as_of']} nothing is due: each closed period has its answer, and a run spends nothing."
        return "\n".join([nothing, *waits])
    metrics = [
        {"release": due["release"], **metric}
        for due in {each["release"]: each for each in found["due"]}.values()
        for metric in due["metrics"]
    ]
    split = []
    if found["split"]:
        split = ["", "Split by the errors that the releases want, a week would give", _table(found["split"])]
    return "\n".join(
        [
            f"As of {found['as_of']} a run would release",
            _table([{name: value for name, value in due.items() if name != "metrics"} for due in found["due"]]),
            "",
            "with these metrics, shown where a cohort has as many active users",
            _table(metrics),
            *waits,
            "",
            "and ask of the budgets (rho)",
            _table(found["budgets"]),
            *split,
        ]
    )


def _ledger(found: Mapping[str, Any]) -> str:
    head = f"Deployment {found['deployment']}, {found['entries']} entries"
    return "\n".join([head, _table(found["usage"]) if found["usage"] else "  nothing is spent yet"])


def _status(found: Mapping[str, Any]) -> str:
    tenants = found["tenants"]
    head = [
        f"Published {found['published']}",
        f"Open      {found['open']}",
        f"Kept      {', '.join(each['release'] for each in found['kept'])}",
        "",
        health.headline(tenants),
    ]
    return "\n".join([*head, _table(health.worst(tenants))] if tenants else head)


def _randomise(found: Mapping[str, Any]) -> str:
    return f"Written {found['written']}: {found['users']:,} users have an answer, the same in every file"


def _rollback(found: Mapping[str, Any]) -> str:
    return (
        f"Published {found['published']} again, instead of {found['instead_of']}\nOpen      {found['open']}\n\n"
        "The next run that publishes goes on from here: mend the cause before it does."
    )


def _cohorts(found: Mapping[str, Any]) -> str:
    lines = ["Cohorts of the newest period that was measured", _table(found["cohorts"])] if found["cohorts"] else []
    if found["quality"]:
        lines += ["", "What was answered with it, exact: not to be shown to anybody else", _table(found["quality"])]
    return "\n".join(lines or ["nothing is measured since the last erasure: the next answers bring it back"])


def _keys(found: Mapping[str, Any]) -> str:
    if "rotated" in found:
        return (
            f"{found['rotated']:,} tenants rotated. The next night publishes their bundles under new keys: hand these "
            "over with `quorum keys --tenant <tenant_id>`."
        )
    if "shredded" in found:
        return f"The keys of {found['tenant_key']} are destroyed. Remove copies of the keyring from backups too."
    if "rewrapped" in found:
        begins = "All keys are wrapped by" if found["rewrapped"] else "All keys were wrapped already by"
        return f"{begins} the new master key: set QUORUM_MASTER_KEY to it, and forget the old one."
    if "bundle_key" not in found:
        return f"{found['tenants']:,} tenants have keys. `quorum keys --tenant <tenant_id>` hands one over."
    lines = [f"tenant_key  {found['tenant_key']}", f"bundle_key  {found['bundle_key']}"]
    if found["bundle"]:
        lines += [
            "open it in DuckDB:",
            "  load httpfs;",
            f"  attach '{found['bundle']}' as bundle (read_only, encryption_key '{found['bundle_key']}');",
            "  from bundle.mart_tenant_daily;",
            "  from bundle.metric_catalog;  -- what each figure of each mart means",
            f"or open {found['bundle'].with_name('index.html')} in a browser and type the key there",
        ]
    else:
        lines.append("no bundle that is published opens with it; the next night may bring one")
    return "\n".join(lines)


def _access(found: Mapping[str, Any]) -> str:
    return _table(found["access"]) if found["access"] else "nobody was let in to anything yet"


def _look(found: Mapping[str, Any]) -> str:
    of_one = {name: value for name, value in found.items() if name not in ("metrics", "no_room") and value is not None}
    if found["no_room"]:
        room = f"No room now: {found['no_room']}."
    elif found["closed_periods"]:
        room = "The budget has room for what is due of it."
    else:
        room = "Nothing of it is due yet: its periods are yet to come, or its release has no answer for them."
    return "\n".join([_pairs(of_one), "", _table(found["metrics"]), "", room])


def _requests(found: Mapping[str, Any]) -> str:
    return _table(found["requests"]) if found["requests"] else "nobody has asked for a deeper look yet"


def _mirror(found: Mapping[str, Any]) -> str:
    if "setup" in found:
        return str(found["setup"])
    head = f"PostgreSQL shows release {found['mirrored']}" + ("" if found["moved"] else ", as it did before")
    roles = [f"  {role:<11} {', '.join(names) or 'nothing'}" for role, names in found["relations"].items()]
    return "\n".join([head, f"Roles of {found['tenants']:,} tenants, and one for benchmarks, see", *roles])


def _pairs(found: Mapping[str, Any]) -> str:
    width = max(len(name) for name in found)
    return "\n".join(f"{name.ljust(width)}  {_cell(value)}" for name, value in found.items())


def _table(rows: list[dict[str, Any]]) -> str:
    """Lay rows out in columns as wide as their content."""
    cells = [list(rows[0])] + [[_cell(value) for value in row.values()] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return "\n".join("  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def _cell(value: object) -> str:
    if isinstance(value, float | Decimal):
        return f"{float(value):.3g}" if 0 < abs(float(value)) < 0.001 else f"{float(value):g}"
    return "" if value is None else str(value)
