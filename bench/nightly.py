"""What a night costs: seconds and peak memory against a plain DuckDB load of the same files, run beside it.

    python bench/nightly.py [--users 300] [--tenants 150]

Each measurement is a process of its own. Prints a table; nothing here is a test.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from quorum.simulate import Shape, simulate

PLAIN = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1] + "/plain.duckdb")
connection.execute(
    "create table events as select * from read_json(?, format='newline_delimited', ignore_errors=true)",
    [sys.argv[1] + "/landing/quorum/*.jsonl.gz"],
)
"""
NIGHT = """
import sys
from quorum.cli import main
main(["run", "--workspace", sys.argv[1], "--as-of", sys.argv[2]])
"""


def measured(code: str, *arguments: str) -> tuple[float, float]:
    """Return seconds and peak GiB of a Python process."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, errors = process.communicate()
    if process.returncode:
        sys.exit(errors.decode())
    return time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20


def main() -> None:
    """Simulate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tenants", type=int, default=150)
    parser.add_argument("--users", type=int, default=300)
    options = parser.parse_args()
    shape = Shape(tenants=options.tenants, users=options.users)
    with tempfile.TemporaryDirectory() as folder:
        truth = simulate(Path(folder), shape)
        print(f"{truth.rows:,} rows in {len(truth.paths)} files")
        # peak memory only ever grows, so the smallest process goes first
        results = [
            ("plain load", *measured(PLAIN, folder)),
            ("first night", *measured(NIGHT, folder, str(shape.last_day))),
            ("same night again", *measured(NIGHT, folder, str(shape.last_day))),
        ]
    baseline = results[0][1]
    print(f"{'':<18}{'seconds':>9}{'ratio':>8}{'peak GiB':>10}{'rows/s':>12}")
    for name, seconds, peak in results:
        print(f"{name:<18}{seconds:>9.1f}{seconds / baseline:>8.1f}{peak:>10.2f}{truth.rows / seconds:>12,.0f}")


if __name__ == "__main__":
    main()
