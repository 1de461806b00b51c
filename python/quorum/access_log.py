"""Who was let in to what, as the audit log tells it: keys handed over, changed and destroyed, readers in PostgreSQL.

Reads themselves are not seen: a published file is a file, and a database logs its own.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from quorum.hash_chain import Entry


def of_log(entries: Iterable[Entry], tenants: Mapping[str, str], tenant: str | None = None) -> list[dict[str, Any]]:
    """Return a row per entry and tenant concerned, oldest first; ``tenants`` are the ids by tenant key.

    A tenant that is gone is named by its key. ``tenant`` (an id) leaves out the others.
    """
    rows = [row for entry in entries for row in _rows(entry)]
    named = [row | {"whose": tenants.get(row["whose"], row["whose"])} for row in rows]
    return [row for row in named if tenant in (None, row["whose"])]


def _rows(entry: Entry) -> Iterator[dict[str, Any]]:
    facts = entry.facts
    told: dict[str, list[tuple[str, str]]] = {
        "keys_created": [(key, "has a key") for key in facts.get("tenant_keys", ())],
        "keys_rotated": [(key, f"has another key, of epoch {n}") for key, n in facts.get("epochs", {}).items()],
        "keys_shredded": [(facts.get("tenant_key", ""), f"its key of epoch {facts.get('epoch')} is destroyed")],
        "key_handed_over": [(facts.get("tenant_key", ""), f"its key was printed on {facts.get('on')}")],
        "mirrored": [
            *((key, f"its role reads {facts.get('release')} in PostgreSQL") for key in facts.get("granted", ())),
            *((key, "its role reads nothing more in PostgreSQL") for key in facts.get("withdrawn", ())),
        ],
    }
    for whose, what in told.get(entry.kind, ()):
        yield {"entry": entry.seq, "whose": whose, "what": what}
