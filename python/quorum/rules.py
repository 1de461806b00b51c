"""What the operator decided: the registry, tracking plans and policies, checked as one and written down for SQL."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import date

import duckdb
import pyarrow as pa

from quorum import (
    catalog,
    expiry,
    field_map,
    field_policies,
    looks,
    overrides,
    policy,
    registry,
    retention,
    rule_file,
    settings,
    tenant_rules,
    tracking_plan,
    warehouse,
)
from quorum.budget import Budget
from quorum.errors import Refused
from quorum.hash_chain import ChainedLog
from quorum.keyring import Keyring
from quorum.runner import Dbt
from quorum.workspace import Workspace

FIELD_POLICIES = pa.schema([(name, pa.string()) for name in (*field_policies.COLUMNS, "audience")])


@dataclass(frozen=True)
class Policies:
    """The private releases in force: specs by release, budgets by population, and the hash of both."""

    specs: list[policy.Spec]
    budgets: dict[str, Budget]
    version: str


@dataclass(frozen=True)
class Rules:
    """All of it, as it holds for one run."""

    policies: Policies
    registered: set[str]  # tenant ids
    digests: dict[str, str]  # what the audit log compares from run to run
    relations: dict[str, pa.Table]  # of the restricted plane, by name

    def write(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Write what SQL reads into the restricted plane."""
        for name, table in self.relations.items():
            warehouse.replace(connection, name, table)


def load(workspace: Workspace, dbt: Dbt, keyring: Keyring, as_of: date) -> Rules:
    """Read and check everything, as it holds on a day; raises BadInput or Refused with the line that is wrong."""
    tenants = registry.load(workspace.registry)
    plan = tracking_plan.load(workspace.registry)
    policies = load_policies(workspace, dbt, as_of)
    project = settings.project_directory()
    seeds = project / "seeds" / "policy"
    forms = catalog.field_forms(dbt.manifest())
    shipped = field_policies.shipped(seeds / "field_policies.csv", forms)
    fields = field_policies.overrides(workspace.policy, shipped, forms)
    days = retention.load(workspace.registry, seeds / "retention.csv", tenants)
    expiry.refuse_needed(days)
    known = tenant_rules.Known.read(project / "seeds" / "reference", field_policies.decided(shipped, fields))
    declared = tenant_rules.load(workspace.registry, tenants, known)
    digests = {
        "policy": policies.version,
        "registry": tenants.digest,
        "tracking_plan": tracking_plan.digest(plan),
        "field_policies": field_policies.digest(shipped, fields),
        "retention": retention.digest(days),
        **{name: _digest(table, keyring) for name, table in declared.items()},
    }
    relations = {
        "registry_tenants": tenants.to_arrow(),
        "registry_today": tenants.of_day(as_of),
        "tracking_plan": plan,
        "class_retention": days,
        "field_map": field_map.table(dbt.manifest()),
        "field_policy_overrides": pa.Table.from_pylist(fields, FIELD_POLICIES),
        **declared,
    }
    return Rules(policies, {row.tenant_id for row in tenants.rows}, digests, relations)


def _digest(declared: pa.Table, keyring: Keyring) -> str:
    """Return what the audit log holds. Ids of users could be guessed from a plain digest, so theirs is under a key."""
    if "user_id" in declared.column_names and declared.num_rows:
        return hmac.new(keyring.erasure_key(), rule_file.digest_input(declared), hashlib.sha256).hexdigest()
    return rule_file.digest(declared)


def load_policies(workspace: Workspace, dbt: Dbt, as_of: date) -> Policies:
    """Resolve the declared releases and budgets against the workspace's policy and the floors.

    What was approved of deeper looks, and is not over on that day, is a release too.
    """
    declared = catalog.declared_releases(dbt.manifest())
    changes = overrides.release_overrides(workspace.policy)
    unknown = set(changes) - {block["name"] for block in declared.values()}
    if unknown:
        raise Refused(f"policy/releases.yml: no release {min(unknown)} is declared")
    specs = [policy.resolve(block, changes.get(block["name"], {})) for _, block in sorted(declared.items())]
    specs += looks.in_force(ChainedLog(workspace.audit_log).records(), {spec.name: spec for spec in specs}, as_of)
    shipped = settings.project_directory() / "seeds" / "policy" / "budgets.csv"
    budgets = {s.population: overrides.budget(s.population, workspace.policy, shipped) for s in specs}
    return Policies(specs, budgets, policy.version(specs, list(budgets.values())))
