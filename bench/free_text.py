"""What the scrub of free text finds: recall and precision over generated texts in five languages.

    python bench/free_text.py [--texts 50000] [--seed 1]

Recall is the share of planted values of which nothing remains, precision that of marks which stand for a planted
value, over the same texts and half as many that hold none, but numbers that look so. Nothing here is a test.
"""

import argparse
import re
import tempfile
import time
from collections import Counter
from pathlib import Path

import duckdb
import pyarrow as pa

from quorum.runner import Dbt
from quorum.simulate_text import Text, harmless_texts, remains, texts
from quorum.workspace import Workspace


def scrubbed(written: list[Text]) -> list[str]:
    """Return the texts as the project's own macro leaves them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "landing").mkdir()
        workspace = Workspace(Path(folder))
        workspace.prepare()
        query = Dbt(workspace).compiled("select {{ scrub('text') }} from written order by number")
    connection = duckdb.connect()
    connection.register("written", pa.table({"number": range(len(written)), "text": [text.text for text in written]}))
    return [after for (after,) in connection.execute(query).fetchall()]


def main() -> None:
    """Write, scrub, count, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    planted = list(texts(options.texts, options.seed))
    written = [*planted, *harmless_texts(options.texts // 2, options.seed)]
    began = time.perf_counter()
    after = scrubbed(written)
    seconds = time.perf_counter() - began

    total = Counter(text.kind for text in planted)
    found = Counter(text.kind for text, left in zip(planted, after, strict=False) if not remains(text, left))
    languages = Counter(text.language for text in planted)
    found_in = Counter(text.language for text, left in zip(planted, after, strict=False) if not remains(text, left))
    marks = sum(len(re.findall(r"\[[a-z]+\]", left)) for left in after)
    unchanged = sum(
        text.text == left for text, left in zip(written[len(planted) :], after[len(planted) :], strict=True)
    )

    for kind in total:
        print(f"{kind:<32}{total[kind]:>8,}{found[kind] / total[kind]:>9.4f}")
    for language in sorted(languages):
        print(
            f"{'all kinds, ' + language:<32}{languages[language]:>8,}{found_in[language] / languages[language]:>9.4f}"
        )
    print(f"{'recall':<32}{len(planted):>8,}{found.total() / len(planted):>9.4f}")
    print(f"{'precision':<32}{marks:>8,}{min(found.total(), marks) / marks:>9.4f}")
    print(f"{'harmless texts left as they are':<32}{len(written) - len(planted):>8,}", end="")
    print(f"{unchanged / (len(written) - len(planted)):>9.4f}")
    print(f"{len(written) / seconds:,.0f} texts/s, dbt's parse included")


if __name__ == "__main__":
    main()
