"""What the operator declares for the tenants' own metrics: files in ``registry/``, each optional, each a table of SQL.

What counts as activity, who is left out, funnels, conversions and experiments. A rule that waits for an event or a
property which redaction would not let through is refused: it could never match.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from quorum import csv_file
from quorum.registry import Registry
from quorum.rule_file import (
    Column,
    Declared,
    RuleFile,
    day,
    identifier,
    label,
    listed,
    one_of,
    whole_number,
)

FUNNEL_STEPS = (2, 10)
VARIANTS = (2, 10)  # of an experiment: the macro `chi_square_critical` goes as far
LISTED_AS = ("internal", "test", "bot", "none")  # none: no more


@dataclass(frozen=True)
class Known:
    """What an event can say once it is redacted."""

    events: frozenset[str]
    features: frozenset[str]
    properties: Mapping[str, frozenset[str]]  # those that pass, with their words where only words of a list do

    @classmethod
    def read(cls, reference: Path, decisions: Iterable[Mapping[str, str]]) -> "Known":
        """Read the seeds; ``decisions`` say which properties pass (``quorum.field_policies``)."""
        words: dict[str, set[str]] = {}
        for _, cells in csv_file.rows(reference / "vocabulary.csv", ("source_format", "field", "word")):
            words.setdefault(cells["field"], set()).add(cells["word"])
        catalog = csv_file.rows(reference / "feature_catalog.csv", ("source_format", "raw_feature", "feature"))
        passing = {row["field"] for row in decisions if row["action"] != "drop"}
        worded = {row["field"] for row in decisions if row["action"] == "keep_listed"}
        return cls(
            events=frozenset(words.get("event_name", ())),
            features=frozenset(cells["feature"] for _, cells in catalog),
            properties={
                name.removeprefix("properties."): frozenset(words.get(name, ()) if name in worded else ())
                for name in passing
                if name.startswith("properties.")
            },
        )


def load(directory: Path, tenants: Registry, known: Known) -> dict[str, pa.Table]:
    """Return the rows of each file by its name; raises BadInput with the line that is wrong."""
    declared = {each.name: each.load(directory, tenants) for each in _files(known)}
    _check_listed_units(declared["internal_users"])
    _check_funnels(declared["funnels"])
    _check_experiments(declared["experiments"], declared["experiment_variants"], known)
    return {name: each.table() for name, each in declared.items()}


def tenant_ids(directory: Path) -> set[str]:
    """Return whom any of the files names, whether its rules hold or not."""
    return {tenant for each in _files(Known(frozenset(), frozenset(), {})) for tenant in each.tenant_ids(directory)}


def listed_ids(directory: Path, tenants: Registry, tenant_id: str) -> dict[int, tuple[str | None, str | None]]:
    """Return whom ``internal_users.csv`` lists of a tenant, by line: a user or a device."""
    declared = _internal_users().load(directory, tenants)
    return {
        line: (row["user_id"], row["anonymous_id"])
        for line, row in declared.rows.items()
        if row["tenant_id"] in (tenant_id, "*")
    }


def _files(known: Known) -> tuple[RuleFile, ...]:
    event = listed(known.events, "an event name of seeds/reference/vocabulary.csv")
    name = label()
    return (
        RuleFile("active_events", {"valid_from": day(), "event_name": event}, ("valid_from", "event_name")),
        _internal_users(),
        RuleFile("funnels", _funnel_columns(known), ("funnel", "step")),
        RuleFile(
            "conversions",
            {"conversion": name, "event_name": event, "lookback_days": whole_number(1, 365)},
            ("conversion",),
        ),
        RuleFile("experiments", _experiment_columns(known, event), ("experiment",)),
        RuleFile(
            "experiment_variants",
            {"experiment": name, "variant": name, "weight": whole_number(1, 1_000_000)},
            ("experiment", "variant"),
        ),
    )


def _internal_users() -> RuleFile:
    columns = {
        "valid_from": day(),
        "user_id": identifier(),
        "anonymous_id": identifier(),
        "listed_as": one_of(*LISTED_AS),
    }
    return RuleFile("internal_users", columns, ("user_id", "anonymous_id", "valid_from"))


def _funnel_columns(known: Known) -> dict[str, Column]:
    passes = "a property that the field policy lets through"
    return {
        "funnel": label(),
        "sequence": one_of("ordered", "strict", "any"),
        "window_hours": whole_number(1, 8_760),
        "grain": one_of("user", "account"),
        "held_property": listed(known.properties, passes, required=False),
        "step": whole_number(1, FUNNEL_STEPS[1]),
        "step_name": label(),
        "event_name": listed(known.events, "an event name of seeds/reference/vocabulary.csv", required=False),
        "feature": listed(known.features, "a feature of seeds/reference/feature_catalog.csv", required=False),
    }


def _experiment_columns(known: Known, event: Column) -> dict[str, Column]:
    worded = {name for name, words in known.properties.items() if words}
    property_of_words = listed(worded, "a property that the field policy keeps with words of the vocabulary")
    return {
        "experiment": label(),
        "exposure_event": event,
        "experiment_property": property_of_words,
        "variant_property": property_of_words,
        "control": label(),
        "metric_event": event,
        "starts_on": day(),
        "ends_on": day(),
        "min_sample": whole_number(20, 1_000_000_000),
        "min_days": whole_number(1, 3_650),
    }


def _check_listed_units(users: Declared) -> None:
    for line, row in users.rows.items():
        if (row["user_id"] is None) == (row["anonymous_id"] is None):
            users.refuse(line, "user_id", "expected either a user_id or an anonymous_id")


def _check_funnels(funnels: Declared) -> None:
    least, most = FUNNEL_STEPS
    for rows in funnels.by("funnel").values():
        lines = [line for _, line in sorted((row["step"], line) for line, row in rows.items())]
        for place, line in enumerate(lines, start=1):
            if rows[line]["step"] != place:
                funnels.refuse(line, "step", f"step {place} of the funnel is missing")
            if rows[line]["event_name"] is None and rows[line]["feature"] is None:
                funnels.refuse(line, "event_name", "expected an event_name, a feature, or both")
        for earlier, line in pairwise(sorted(lines)):
            for column in ("sequence", "window_hours", "grain", "held_property"):
                if rows[line][column] != rows[earlier][column]:
                    funnels.refuse(line, column, f"it differs from line {earlier}, of the same funnel")
        if len(lines) < least:
            funnels.refuse(lines[-1], "step", f"a funnel has {least} to {most} steps")


def _check_experiments(experiments: Declared, variants: Declared, known: Known) -> None:
    least, most = VARIANTS
    of_experiment = variants.by("experiment")
    for line, row in experiments.rows.items():
        if row["starts_on"] > row["ends_on"]:
            experiments.refuse(line, "ends_on", "it is before starts_on")
        if row["experiment"] not in known.properties[row["experiment_property"]]:
            experiments.refuse(line, "experiment", "the vocabulary of experiment_property does not list it")
        rows = of_experiment.pop((row["tenant_id"], row["experiment"]), {})
        if row["control"] not in {each["variant"] for each in rows.values()}:
            experiments.refuse(line, "control", "experiment_variants.csv has no such variant of it")
        if not least <= len(rows) <= most:
            experiments.refuse(line, "experiment", f"it has {len(rows)} variants; {least} to {most} can be told apart")
        for of_variant, variant in rows.items():
            if variant["variant"] not in known.properties[row["variant_property"]]:
                variants.refuse(of_variant, "variant", "the vocabulary of variant_property does not list it")
    for rows in of_experiment.values():
        variants.refuse(min(rows), "experiment", "experiments.csv has no such experiment of this tenant")
