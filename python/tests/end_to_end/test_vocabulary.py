"""Only listed words, pseudonyms and coarse forms pass redaction, however near to a listed word the others come."""

import csv
import ipaddress
import json
import random
import re
from collections.abc import Callable
from typing import Any

import pytest

from quorum import settings
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.end_to_end.histories import registered

SEEDS = settings.project_directory() / "seeds"
ROWS = 1500

ADDRESSES = (
    *("203.0.113.9", "198.51.100.200", "255.255.255.255", "2001:db8:1:2::9", "2001:DB8:0:1:1:1:1:1", "2001:db8:1::"),
    *("::1", "::", "fe80::1%eth0", "2001:db8::", "::ffff:203.0.113.9", "2001:db8:1::203.0.113.9", "1:2:3:4:5:6:7::"),
    # telephone numbers, hardware addresses and the like, in the shape of one
    *("491.512.345.678", "491512345678", "4915:1234:5678:90", "4915:1234:5678::1::2", "00:1a:2b:3c:4d:5e", "203.0.113"),
    *("203.0.113.9:443", "203.0.113.9, 198.51.100.2", "1:2:3:", "1:2:3::::", "1:2:3:4:5:6:7:8::", "1:2:3:4:5:6:7:8:9"),
)
ODD = ["", " ", "null", "true", "42", "1234567", "-1e3", "DE", "de", "D\u0415", '"', "'", "\\", "{}", ":id", "%2F"]


def seed(name: str) -> list[dict[str, str]]:
    """Return the rows that hold for the format `quorum`."""
    with (SEEDS / "reference" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["source_format"] in ("*", "quorum")]


def listed(field: str) -> set[str]:
    return {row["word"] for row in seed("vocabulary") if row["field"] == field}


def near_words() -> list[dict[str, Any]]:
    """Return rows with listed words, words that are nearly those, and words that are listed for another field."""
    rng = random.Random(7)
    known = [row["word"] for row in seed("vocabulary")] + [row["raw_feature"] for row in seed("feature_catalog")]
    near = [rng.choice([word.swapcase(), f"{word}\u200b", f"{word}s", f"{word}\n", f"x{word}"]) for word in known]
    words = [*known * 3, *near, *ODD]
    return [
        {
            "tenant_id": "t",
            "event_id": str(number),
            "user_id": "u",
            "value_minor": number,
            "occurred_at": "2026-03-28T11:00:00Z",
            "url": "/".join(rng.choices([*words, "?", "#", "https:"], k=6)),
            "ip": ADDRESSES[number % len(ADDRESSES)],
            "properties": {rng.choice(["plan", "is_trial", "items", "x"]): rng.choice(words) for _ in range(3)},
            **{
                name: rng.choice(words)
                for name in ("event_name", "feature", "platform", "country", "referrer", "user_agent")
            },
        }
        for number in range(ROWS)
    ]


def is_listed_path(path: str) -> bool:
    return set(path.split("/")) <= {*listed("url"), "", ":id"}


def is_listed_json(text: str) -> bool:
    properties = json.loads(text)
    return (
        properties.pop("plan", None) in {None, *listed("properties.plan")}
        and properties.pop("is_trial", None) in (None, True, False)
        and abs(properties.pop("items", 0)) < 10**6
        and not properties
    )


def one_of(*words: str) -> Callable[[str], object]:
    return set(words).__contains__


def shaped(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern).fullmatch


# What may stand in each text column of the event contract.
MAY_PASS: dict[str, Callable[[str], object]] = {
    **{f"{name}_key": shaped("[0-9a-f]{32}") for name in ("tenant", "event", "unit", "user", "anonymous", "account")},
    "client_session_key": shaped("[0-9a-f]{32}"),
    "landing_file": shaped("[0-9a-f]{64}"),
    "event_name": one_of("unlisted", *listed("event_name")),
    "feature": one_of(*(row["feature"] for row in seed("feature_catalog"))),
    "occurred_at_rule": one_of("occurred_at", "corrected", "capped", "received_at"),
    "url_path": is_listed_path,
    "referrer_channel": one_of("search", "social", "mail", "other"),
    "ip_network": shaped("[0-9.]+/24|[0-9a-f:]+/48"),
    "user_agent_family": one_of("robot", "edge", "opera", "firefox", "chrome", "safari", "other"),
    "country": shaped("[A-Z]{2}"),
    "platform": one_of(*listed("platform")),
    "properties": is_listed_json,
    "source_format": one_of("quorum"),
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = worlds.registered(tmp_path_factory.mktemp("words"), [registered("t")])
    worlds.land(workspace, "near_words.jsonl", near_words())
    assert worlds.ingest(workspace).rows["accepted"] == ROWS
    return workspace


@pytest.fixture(scope="module")
def passed(workspace: Workspace) -> dict[str, set[str]]:
    """Return what came through, by text column."""
    columns = worlds.fetch(
        workspace,
        "tenant",
        "select column_name from duckdb_columns() where table_name = 'int_events' and data_type = 'VARCHAR'",
    )
    return {
        column: {
            value
            for (value,) in worlds.fetch(workspace, "tenant", f"from (select distinct {column} as v from int_events)")
            if value is not None
        }
        for (column,) in columns
    }


def test_nothing_else_passes(passed: dict[str, set[str]]) -> None:
    assert set(passed) == set(MAY_PASS)
    assert not {(column, value) for column, values in passed.items() for value in values if not MAY_PASS[column](value)}


def test_listed_words_do_pass(passed: dict[str, set[str]]) -> None:
    assert passed["event_name"] == {"unlisted", *listed("event_name")}
    assert passed["feature"] == {row["feature"] for row in seed("feature_catalog")}
    assert passed["platform"] == listed("platform")
    assert {segment for path in passed["url_path"] for segment in path.split("/")} == {*listed("url"), "", ":id"}
    assert {json.loads(text).get("plan") for text in passed["properties"]} == {None, *listed("properties.plan")}


def test_of_an_address_only_its_network_passes(workspace: Workspace) -> None:
    query = "select value_minor, ip_network from int_events where ip_network is not null"
    found = {ADDRESSES[row % len(ADDRESSES)]: network for row, network in worlds.fetch(workspace, "tenant", query)}
    assert found["203.0.113.9"] == "203.0.113/24"
    assert found["2001:DB8:0:1:1:1:1:1"] == "2001:db8:0/48"
    assert set(found) == {address for address in ADDRESSES if is_address(address)}
    assert not {(address, network) for address, network in found.items() if not is_network_of(network, address)}


def is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def is_network_of(network: str, address: str) -> bool:
    prefix, length = network.split("/")
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return ip in ipaddress.ip_network(f"{prefix}{'.0' if ip.version == 4 else '::'}/{length}")
