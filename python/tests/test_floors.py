"""Ways to loosen a quorum, a bound, the noise or a budget: each is refused in one line, or changes nothing."""

import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from quorum import rules, runner
from quorum.runner import Dbt
from quorum.workspace import Workspace
from tests.end_to_end import worlds
from tests.projects import copied_project

RUN = ("run", f"--as-of={worlds.LAST_DAY}")
RELEASE = "dp_feature_usage"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace before its first night: rules are read before anything else, so none gets further."""
    made = worlds.simulated(tmp_path_factory.mktemp("floors"), days=2)
    made.prepare()
    Dbt(made).manifest()
    return made


@pytest.fixture
def policy(workspace: Workspace) -> Any:
    """The folder of overrides, empty again after each attempt."""
    workspace.policy.mkdir(exist_ok=True)
    yield workspace.policy
    shutil.rmtree(workspace.policy)


def assert_told(result: Result, exit_code: int, words: str) -> None:
    [line] = [line for line in result.stderr.splitlines() if not line.startswith("[")]
    assert line.startswith("quorum: ")
    assert words in line
    assert result.exit_code == exit_code


def weeks(**change: Any) -> dict[str, Any]:
    return {"periods": {"week": {"rho_atoms": "0.02", "rho_parents": "0.01", "history": 4, **change}}}


def metric(**change: Any) -> dict[str, Any]:
    told = {"name": "spent", "kind": "sum", "estimand": "cents", "low": 0, "high": 100, **change}
    return {"metrics": [{key: value for key, value in told.items() if value is not None}]}


# What a declaration may come to say, whether its YAML was edited, or a package or dbt_project.yml patched it.
DECLARED: dict[str, tuple[dict[str, Any], int, str]] = {
    "fewer tenants": ({"min_tenants": 4}, 4, "min_tenants is 4, the floor in code is at least 5"),
    "a smaller quorum": ({"tenant_cap": 9}, 4, "tenant_cap is 9, the floor in code is at least 50 users"),
    "no quorum": ({"tenant_cap": 0}, 4, "tenant_cap is 0"),
    "half a tenant": ({"min_tenants": 5.5}, 2, "min_tenants must be a whole number"),
    "more rho for atoms": (weeks(rho_atoms="0.05"), 4, "rho is 0.06, the floor in code is at most 0.05 a week"),
    "wants without a level": ({"wanted_users": {"atom": 100}}, 4, "wanted_users is {'atom': 100}"),
    "wants of nobody": ({"wanted_users": {"atom": 0, "industry": 1, "all": 1}}, 4, "at least 1 for each of atom"),
    "wants that are no number": ({"wanted_users": {"atom": "many"}}, 2, "wanted_users must say a whole number"),
    "more rho for parents": (weeks(rho_parents="0.04"), 4, "rho is 0.06"),
    "endless rho": (weeks(rho_atoms="Infinity"), 4, "rho_atoms is Infinity"),
    "rho that is no number": (weeks(rho_atoms="NaN"), 4, "rho_atoms is NaN"),
    "a rebate of rho": (weeks(rho_atoms="0.06", rho_parents="-0.03"), 4, "rho_parents is -0.03"),
    "a week's rho each day": (
        {"default_period": "day", "periods": {"day": weeks()["periods"]["week"]}},
        4,
        "rho is 0.03, the floor in code is at most 0.0072 a day",
    ),
    "periods of an hour": (
        {"default_period": "hour", "periods": {"hour": weeks()["periods"]["week"]}},
        4,
        "period is hour, the floor in code is day or week",
    ),
    "no history": (weeks(history=0), 4, "history is 0"),
    "more delta": ({"delta": "1e-6"}, 4, "delta is 0.000001"),
    "a lower gate": ({"gate_z": "3"}, 4, "gate_z is 3, the floor in code is at least 5.6"),
    "more tolerance": ({"tolerance_points": 50}, 4, "tolerance_points is 50"),
    "a longer look back": ({"lookback_days": 400}, 4, "lookback_days is 400"),
    "a level that no proof knows": ({"levels": ["all", "tenant"]}, 4, "levels is ('all', 'tenant')"),
    "no level, so all of rho for none": ({"levels": []}, 4, "levels is ()"),
    "atoms of nobody": ({"atom_min_contributors": 0}, 4, "atom_min_contributors is 0"),
    "a sum without bounds": (metric(low=None, high=None), 2, "a sum has estimand, high, low"),
    "a sum with a huge bound": (metric(high=10**9), 4, "at most 1000000 apart"),
    "bounds the wrong way round": (metric(low=1), 4, "low must be at most 0"),
    "users without a bound": (
        metric(kind="distinct_users", low=None, high=None, keys=["a"], max_cells=0),
        4,
        "max_cells must be at least 1",
    ),
    "a cell twice": (
        metric(kind="distinct_users", low=None, high=None, keys=["a", "a"], max_cells=1),
        4,
        "keys must differ",
    ),
    "no noise": ({"noise": False}, 2, "its declaration does not fit"),
    "another name": ({"name": "usage"}, 2, "a release is declared on a model named dp_<release>"),
}


@pytest.mark.parametrize("name", DECLARED)
def test_a_looser_declaration_is_refused(name: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    change, exit_code, words = DECLARED[name]
    [node] = [node for node in Dbt(workspace).manifest().nodes.values() if node.name == RELEASE]
    monkeypatch.setitem(node.config.meta, "release", {**deepcopy(node.config.meta["release"]), **change})
    assert_told(worlds.quorum(workspace, *RUN), exit_code, words)


OVERRIDES: dict[str, tuple[str, int, str]] = {
    "rho_atoms": ("0.016", 4, "rho_atoms may only be lower than 0.015"),
    "rho_parents": ("0.02", 4, "rho_parents may only be lower than 0.015"),
    "min_tenants": ("1", 4, "min_tenants may only be higher than 5"),
    "delta": ("1e-5", 4, "delta may only be lower"),
    "gate_z": ("0", 4, "gate_z may only be higher"),
    "tolerance_points": ("100", 4, "tolerance_points may only be lower"),
    "history": ("520", 4, "history may only be lower"),
    "atom_min_contributors": ("1", 4, "atom_min_contributors may only be higher"),
    "tenant_cap": ("1000", 2, "tenant_cap cannot be set here"),
    "metrics": ("[]", 2, "metrics cannot be set here"),
    "levels": ("[tenant]", 2, "levels cannot be set here"),
    "segments": ("[]", 2, "segments cannot be set here"),
    "lookback_days": ("91", 2, "lookback_days cannot be set here"),
    "population": ("nobody", 2, "population cannot be set here"),
    "period": ("hour", 2, "period must be one of day, week"),
}


@pytest.mark.parametrize("key", OVERRIDES)
def test_a_looser_override_is_refused(key: str, workspace: Workspace, policy: Path) -> None:
    value, exit_code, words = OVERRIDES[key]
    (policy / "releases.yml").write_text(f"releases: {{feature_usage: {{{key}: {value}}}}}")
    assert_told(worlds.quorum(workspace, *RUN), exit_code, words)


def test_an_override_of_a_larger_budget_is_refused(workspace: Workspace, policy: Path) -> None:
    (policy / "budgets.csv").write_text("population,time_window,rho\nproduct_users,year,100\n")
    assert_told(worlds.quorum(workspace, *RUN), 4, "a budget may only be lower than the shipped one")


@pytest.mark.parametrize(
    ("sound", "planted"),
    [("week,0.05", "week,0.5"), ("quarter,0.65", "quarter,6.5"), ("year,2.6", "year,26"), ("year,2.6", "lifetime,2.6")],
)
def test_a_larger_shipped_budget_is_refused(
    sound: str, planted: str, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = copied_project(tmp_path, monkeypatch)
    # seeds are no part of what dbt parses, as far as budgets go
    monkeypatch.setitem(runner._parsed, copy, Dbt(workspace).manifest())
    seed = copy / "seeds" / "policy" / "budgets.csv"
    text = seed.read_text()
    assert sound in text
    monkeypatch.setenv("QUORUM_PROJECT", str(copy))
    seed.write_text(text.replace(sound, planted))
    assert_told(worlds.quorum(workspace, *RUN), 4, "the budget of product_users must name a ")


LOOSE: dict[str, Any] = {
    "min_tenants": 1,
    "tenant_cap": 1,
    "rho_atoms": "9",
    "delta": "0.1",
    "gate_z": "0",
    "tolerance_points": 100,
    "k": 1,
}
MACROS = """
{% macro bounded_weight(value_scale, max_cells, cells) %}1000000{% endmacro %}
{% macro tenant_balanced(total, users, tenant_cap) %}({{ total }}){% endmacro %}
{% macro bounded_cells(release, contributions) %}select * from {{ contributions }}{% endmacro %}
"""
BOUNDED = "select {{ tenant_balanced('x', 'users', 'cap') }}, {{ bounded_weight('scale', 'most', 'cells') }}"


def test_variables_environment_profile_target_and_packages_change_nothing(
    workspace: Workspace, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them at once, in a copy of the project that dbt parses anew."""
    sound = rules.load_policies(workspace, Dbt(workspace), worlds.LAST_DAY)
    compiled = Dbt(workspace).compiled(BOUNDED)
    copy = copied_project(tmp_path, monkeypatch)

    # variables, and a default for all models of a folder that a model's own block outranks
    file = copy / "dbt_project.yml"
    project = yaml.safe_load(file.read_text())
    project["vars"] |= LOOSE | {"quorum": dict(LOOSE)}
    project["models"]["quorum"]["release"]["+meta"] = {"release": dict(LOOSE)}
    file.write_text(yaml.safe_dump(project))
    # a package with macros of the same names
    (copy / "packages.yml").write_text("packages: [{local: loose}]")
    package = copy / "dbt_packages" / "loose"
    (package / "macros").mkdir(parents=True)
    (package / "dbt_project.yml").write_text("name: loose\nversion: 0.1.0\nconfig-version: 2\nprofile: quorum\n")
    (package / "macros" / "bounding.sql").write_text(MACROS)
    # the environment, with another profile and another target
    profiles = tmp_path / "profiles"
    profiles.mkdir()
    profile = yaml.safe_load((copy / "profiles" / "profiles.yml").read_text())
    profile["quorum"]["outputs"]["dev"]["vars"] = dict(LOOSE)
    (profiles / "profiles.yml").write_text(yaml.safe_dump(profile))
    monkeypatch.setenv("DBT_PROFILES_DIR", str(profiles))
    monkeypatch.setenv("DBT_TARGET", "released")
    monkeypatch.setenv("DBT_VARS", str(dict(LOOSE)))
    for name, value in LOOSE.items():
        for prefix in ("", "QUORUM_", "DBT_", "DBT_ENV_CUSTOM_ENV_"):
            monkeypatch.setenv(f"{prefix}{name}".upper(), str(value))
    # files in the workspace that nobody asks for
    for name in ("policy.yml", "floors.yml", "release.csv"):
        (policy / name).write_text(yaml.safe_dump(dict(LOOSE)))

    loosened = Dbt(workspace)
    assert {"bounded_weight"} < {m.name for m in loosened.manifest().macros.values() if m.package_name == "loose"}
    assert rules.load_policies(workspace, loosened, worlds.LAST_DAY) == sound
    assert loosened.compiled(BOUNDED) == compiled
