"""What landing costs: rows per second and peak memory against a plain DuckDB load of the same files, run beside it.

    python bench/landing.py [--rows 1000000] [--memory 3GB]

Each line adds a stage to the one before it: the files into the queue, checked, counted and once; every row typed and
judged, batch by batch; redaction and dedupe; the tenant plane. Each measurement is a process of its own. Prints a
table; nothing here is a test.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

ROWS_A_FILE = 500_000

# Tenants and users of Zipf sizes over four weeks, about 420 bytes a row, one row in five hundred sent twice.
ROWS = """
copy (
    with drawn as (
        select
            n,
            hash(n // 50) as person,
            timestamp '2026-03-02' + to_milliseconds((hash(n) % 2419200000)::bigint) as happened_at
        from range($first, $last) as numbers (n)
    )
    select
        format('tenant-{:03d}', (power(person % 1000000 / 1000000.0, 3) * 200)::int) as tenant_id,
        md5((n - (n % 500 = 499)::int)::text) as event_id,
        'feature_used' as event_name,
        ['search', 'dashboard', 'export', 'share', 'comment', 'upload', 'invite', 'api'][1 + n % 8] as feature,
        strftime(happened_at, '%Y-%m-%dT%H:%M:%S.%gZ') as occurred_at,
        strftime(happened_at + interval 1 second, '%Y-%m-%dT%H:%M:%S.%gZ') as received_at,
        format('user{}@example.com', person % ($rows // 50)) as user_id,
        md5((person % ($rows // 50))::text) as anonymous_id,
        'https://app.example.com/search?utm_source=newsletter' as url,
        'Mozilla/5.0 (X11; Linux x86_64; rv:136.0) Gecko/20100101 Firefox/136.0' as user_agent,
        format('198.18.{}.{}', n % 250, n % 240) as ip,
        'DE' as country,
        'web' as platform,
        {'plan': 'pro', 'is_trial': n % 4 = 0, 'items': n % 5} as properties
    from drawn
) to '{path}' (format json, compression gzip)
"""
REGISTRY = """\
tenant_id,valid_from,industry,region,size_band,plan,timezone,week_start,session_timeout_minutes,benchmark_consent,\
retention_days,freshness_sla_hours,daily_event_quota,publish_bundle
*,2020-01-01,retail,eu,small,pro,UTC,monday,30,false,730,24,1000000000,false
"""
PLAIN = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1] + "/plain.duckdb", config={"memory_limit": sys.argv[2]})
connection.execute(
    "create table events as select * from read_json(?, format='newline_delimited', ignore_errors=true)",
    [sys.argv[1] + "/landing/quorum/*.json.gz"],
)
"""
NIGHT = """
import json, sys, time
from datetime import date
from pathlib import Path
from quorum import nightly
from quorum.workspace import Workspace
marks = []
nightly.run(Workspace(Path(sys.argv[1])), date(2026, 3, 29), lambda step: marks.append((time.perf_counter(), step)))
marks.append((time.perf_counter(), "the end"))
print(json.dumps([(step, later - at) for (at, step), (later, _) in zip(marks, marks[1:])]))
"""
PARTS = {
    "landing": ("reading new",),
    "and typing": ("reading new", "typing"),
    "and redaction": ("reading new", "typing", "redacting"),
    "and the tenant plane": ("reading new", "typing", "redacting", "building the tenant"),
}


def measured(code: str, *arguments: str) -> tuple[float, float, str]:
    """Return seconds, peak GiB and what was printed of a Python process."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    printed, errors = process.communicate()
    if process.returncode:
        sys.exit(errors)
    return time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, printed


def main() -> None:
    """Write files, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--memory", default="3GB", help="DuckDB's memory limit, for both")
    options = parser.parse_args()
    os.environ["QUORUM_MEMORY_LIMIT"] = options.memory
    with tempfile.TemporaryDirectory() as folder:
        landing = Path(folder, "landing", "quorum")
        landing.mkdir(parents=True)
        for first in range(0, options.rows, ROWS_A_FILE):
            place = {"first": first, "last": min(first + ROWS_A_FILE, options.rows), "rows": options.rows}
            duckdb.execute(ROWS.replace("{path}", str(landing / f"{first:09}.json.gz")), place)
        Path(folder, "registry").mkdir()
        Path(folder, "registry", "tenants.csv").write_text(REGISTRY)
        size = sum(file.stat().st_size for file in landing.iterdir())
        print(f"{options.rows:,} rows in {size / 2**20:,.0f} MiB of gzip, memory limit {options.memory}")

        # peak memory only ever grows, so the smaller process goes first
        plain, plain_peak, _ = measured(PLAIN, folder, options.memory)
        _, peak, printed = measured(NIGHT, folder)
    steps = json.loads(printed)
    print(f"{'':<22}{'seconds':>9}{'rows/s':>12}{'of plain':>10}{'peak GiB':>10}")
    print(f"{'plain load':<22}{plain:>9.1f}{options.rows / plain:>12,.0f}{'':>10}{plain_peak:>10.2f}")
    for name, parts in PARTS.items():
        seconds = sum(taken for step, taken in steps if step.startswith(parts))
        print(f"{name:<22}{seconds:>9.1f}{options.rows / seconds:>12,.0f}{plain / seconds:>10.2f}")
    print(f"{'the whole night':<22}{sum(taken for _, taken in steps):>9.1f}{'':>22}{peak:>10.2f}")


if __name__ == "__main__":
    main()
