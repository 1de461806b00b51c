"""What stands between a slip and a reader: the look at the server, at the catalog, and what a failure says."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
import pytest
import sqlalchemy as sa

from quorum import mirror as sink
from quorum import mirror_check, mirror_grants, mirror_setup, nightly, postgres, settings
from quorum.access import Access
from quorum.audit import AuditLog
from quorum.errors import BadInput, QuorumError, Refused
from quorum.mirror_source import Release
from tests.end_to_end import worlds
from tests.end_to_end.mirror.mirrors import PASSWORD, Mirror, point_to, republished
from tests.postgres import ADMIN
from tests.postgres import PASSWORD as ADMIN_PASSWORD

MART = "mart_tenant_daily"


@pytest.fixture(scope="module")
def names(mirror: Mirror) -> dict[str, str]:
    """The names of two tenants' roles and tables, for statements."""
    release = (mirror.workspace.published / "current").resolve().name
    one, two, *_ = mirror.tenants
    roles = {"a": f"quorum_t_{one}", "b": f"quorum_t_{two}"}
    marts = {"mart_a": f"quorum_r_{release}_{one}.{MART}", "mart_b": f"quorum_r_{release}_{two}.{MART}"}
    return {**roles, **marts}


HEALED = (
    "grant select on {mart_b} to {a}",
    "grant select on {b}.mart_tenant_daily to public",
    "grant select (events) on {mart_b} to {a}",
    "grant insert on {mart_a} to {a}",
    "grant select on {a}.mart_tenant_daily to {a} with grant option",
    "grant usage on schema {b} to public",
    "grant create on schema quorum to quorum_benchmarks",
    "grant usage on schema quorum_state to {a}; grant select on quorum_state.deployment to {a}",
    "revoke select on {a}.mart_tenant_daily from {a}",
    "create or replace view {a}.mart_tenant_daily with (security_invoker, security_barrier) as select * from {mart_b}",
    "alter view {b}.mart_tenant_daily reset (security_invoker)",
    "alter view {b}.mart_tenant_daily reset (security_barrier)",
    "drop view {b}.mart_tenant_daily",
    "create view quorum.all_of_them as select * from {mart_b}",
)
UNPROTECTED = {
    "alter table {mart_b} no force row level security": "alter table {mart_b} force row level security",
    "alter table {mart_b} disable row level security": "alter table {mart_b} enable row level security",
    "create policy more on {mart_b} to {a} using (true)": "drop policy more on {mart_b}",
    "alter policy own_rows on {mart_b} to public": "alter policy own_rows on {mart_b} to {b}",
    "alter policy own_rows on {mart_b} using (events > 0)": "alter policy own_rows on {mart_b} using (true)",
}
REFUSED = {
    **UNPROTECTED,
    "grant {b} to {a}": "revoke {b} from {a}",
    "grant pg_read_all_data to {a}": "revoke pg_read_all_data from {a}",
    "grant pg_read_all_data to quorum_reader": "revoke pg_read_all_data from quorum_reader",
    "alter role {a} bypassrls": "alter role {a} nobypassrls",
    "alter default privileges for role quorum_mirror grant select on tables to public": (
        "alter default privileges for role quorum_mirror revoke select on tables from public"
    ),
    "create function quorum.tell() returns int language sql as 'select 1'": "drop function quorum.tell()",
    "alter view {b}.mart_tenant_daily owner to admin": "alter view {b}.mart_tenant_daily owner to quorum_mirror",
}
FOUND = r"^the mirror is not as the access policy has it: look at|must be owner"


def faults(mirror: Mirror) -> list[str]:
    layout = layout_of(mirror)
    with postgres.connected(mirror.url) as connection:
        return list(mirror_check.faults(connection, layout))


def layout_of(mirror: Mirror) -> Any:
    shipped = settings.project_directory() / "seeds" / "policy" / "access.csv"
    access = Access.of(mirror.workspace.policy, shipped)
    return sink._layout(Release.published(mirror.workspace), access)


class TestTheCatalog:
    @pytest.mark.parametrize("bug", HEALED)
    def test_what_is_not_by_the_policy_is_found_and_mended(
        self, mirror: Mirror, names: dict[str, str], bug: str
    ) -> None:
        assert faults(mirror) == []
        mirror.admin(bug.format(**names))
        assert faults(mirror) != []
        assert mirror.bring()["moved"]
        assert faults(mirror) == []

    @pytest.mark.parametrize("bug", REFUSED)
    def test_what_nobody_should_have_done_is_refused_until_it_is_undone(
        self, mirror: Mirror, names: dict[str, str], bug: str
    ) -> None:
        assert faults(mirror) == []
        mirror.admin(bug.format(**names))
        try:
            with pytest.raises(QuorumError, match=FOUND) as said:
                mirror.bring()
            assert "\n" not in str(said.value)
        finally:
            mirror.admin(REFUSED[bug].format(**names))
        assert not mirror.bring()["moved"]

    @pytest.mark.parametrize("bug", UNPROTECTED)
    def test_a_release_that_is_spoilt_before_the_swap_gets_no_readers(
        self, mirror: Mirror, names: dict[str, str], bug: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = (mirror.workspace.published / "current").resolve().name
        release = republished(mirror.workspace, {})
        settle = mirror_grants.settle
        spoilt = {**names, "mart_b": f"quorum_r_{release}_{mirror.tenants[1]}.{MART}"}

        def spoil(connection: Any, layout: Any) -> None:
            settle(connection, layout)
            connection.execute(bug.format(**spoilt))

        monkeypatch.setattr(mirror_grants, "settle", spoil)
        try:
            with pytest.raises(Refused, match=FOUND):
                mirror.bring()
            with closing(mirror.login("quorum_benchmarks")) as connection:
                [(told,)] = connection.execute("select obj_description('quorum'::regnamespace)").fetchall()
            assert before in told
        finally:
            point_to(mirror.workspace, before)
        monkeypatch.undo()
        assert not mirror.bring()["moved"]


class TestTheServer:
    @contextmanager
    def undone(self, mirror: Mirror, statement: str, undo: str) -> Iterator[None]:
        mirror.admin(statement)
        try:
            yield
        finally:
            mirror.admin(undo)

    @pytest.mark.parametrize(
        ("statement", "undo", "said"),
        [
            (
                "grant execute on function pg_relation_size(regclass, text) to public",
                "revoke execute on function pg_relation_size(regclass, text) from public",
                "PUBLIC may call 1 functions",
            ),
            (
                "grant connect on database marts to public",
                "revoke all on database marts from public",
                "PUBLIC has rights",
            ),
            (
                "grant connect on database postgres to public",
                "revoke connect on database postgres from public",
                "PUBLIC may enter the database postgres, which .*`quorum mirror --setup`",
            ),
            (
                "grant connect on database template1 to quorum_reader",
                "revoke connect on database template1 from quorum_reader",
                "quorum_reader reads the mirror and may enter the database template1, which .*take away",
            ),
            (
                "grant pg_read_all_stats to quorum_benchmarks; grant connect on database postgres to pg_read_all_stats",
                "revoke pg_read_all_stats from quorum_benchmarks; "
                "revoke connect on database postgres from pg_read_all_stats",
                "quorum_benchmarks reads the mirror and may enter the database postgres",
            ),
            (
                "alter database template0 allow_connections true",
                "alter database template0 allow_connections false",
                "PUBLIC may enter the database template0",
            ),
            ("alter role quorum_mirror superuser", "alter role quorum_mirror nosuperuser", "far more than it has to"),
            ("alter role quorum_mirror bypassrls", "alter role quorum_mirror nobypassrls", "far more than it has to"),
            ("alter role quorum_mirror createrole", "alter role quorum_mirror nocreaterole", "far more than it has to"),
            ("grant pg_monitor to quorum_mirror", "revoke pg_monitor from quorum_mirror", "far more than it has to"),
            ("alter schema quorum_roles rename to away", "alter schema away rename to quorum_roles", "is not set up"),
            (
                "update quorum_state.deployment set ledger = 'x' || ledger",
                "update quorum_state.deployment set ledger = substr(ledger, 2)",
                "mirrors another deployment",
            ),
        ],
    )
    def test_one_that_would_tell_more_is_refused(self, mirror: Mirror, statement: str, undo: str, said: str) -> None:
        with self.undone(mirror, statement, undo), pytest.raises(Refused, match=said):
            mirror.bring()
        assert not mirror.bring()["moved"]

    def test_one_as_it_comes_is_refused(self, mirror: Mirror) -> None:
        for database, options, said in (
            ("as_it_comes", "", "is not set up"),
            ("latin", "encoding 'latin1' template template0", "encoded in LATIN1"),
        ):
            url = mirror.server.url(database, "quorum_mirror", PASSWORD)
            made, dropped = f"create database {database} {options}", f"drop database {database}"
            with self.undone(mirror, made, dropped), pytest.raises(Refused, match=said):
                sink.mirror(mirror.workspace, url, worlds.silent)
        with pytest.raises(Refused, match="far more than it has to"):
            sink.mirror(mirror.workspace, mirror.server.url("marts"), worlds.silent)

    def test_a_database_that_comes_later_is_closed_by_setting_up_again(self, mirror: Mirror) -> None:
        """And is none of a reader's own: its owner may enter it, whatever is taken from PUBLIC."""
        with closing(mirror.of_tenant(mirror.tenants[0])) as connection:
            login = connection.info.user
        with self.undone(mirror, 'create database "Another One"', 'drop database "Another One"'):
            with pytest.raises(Refused, match="PUBLIC may enter the database Another One, which"):
                mirror.bring()
            mirror.set_up()
            assert not mirror.bring()["moved"]
            mirror.admin(f'alter database "Another One" owner to {login}')
            with pytest.raises(Refused, match=f"{login} reads the mirror and may enter the database Another One"):
                mirror.bring()

    def test_the_role_that_mirrors_can_do_no_more_than_that(self, mirror: Mirror) -> None:
        with psycopg.connect(mirror.url.replace("+psycopg", ""), autocommit=True) as connection:
            for statement in (
                "create role somebody",
                "select quorum_roles.make('x; create role y')",
                "select quorum_roles.make(null)",
                "grant pg_read_all_data to quorum_mirror",
                "create database another",
                "copy (select 1) to '/tmp/somewhere'",
                "select pg_read_file('PG_VERSION')",
                "alter role quorum_reader login",
            ):
                with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.RaiseException)):
                    connection.execute(statement.encode())


class TestAFailure:
    def said(self, mirror: Mirror, *arguments: str) -> str:
        before = worlds.file_hashes(mirror.workspace.published)
        found = worlds.quorum(mirror.workspace, *arguments)
        assert found.exit_code != 0
        assert worlds.file_hashes(mirror.workspace.published) == before
        *_, line = found.stderr.splitlines()
        for secret in (PASSWORD, ADMIN_PASSWORD, "hunter2"):
            assert secret not in found.stderr
        assert line.startswith("quorum: ")
        return line

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"password": "hunter2"}, 'password authentication failed for user "quorum_mirror"'),
            ({"database": "nowhere"}, 'database "nowhere" does not exist'),
            ({"query": {"host": "/tmp/quorum-nowhere"}}, "No such file or directory"),  # noqa: S108
            ({"query": {"host": "127.0.0.1", "hunter2": "hunter2"}}, "mirror"),
            ({"drivername": "mysql"}, "is none like postgresql://"),
        ],
    )
    def test_is_one_line_without_a_password(self, mirror: Mirror, change: dict[str, Any], said: str) -> None:
        url = sa.make_url(mirror.url).set(**change).render_as_string(hide_password=False)
        if "hunter2" in change.get("query", {}):
            with pytest.raises(QuorumError) as caught:
                sink.mirror(mirror.workspace, url, worlds.silent)
            assert ("\n" in str(caught.value), PASSWORD in str(caught.value)) == (False, False)
        else:
            assert said in self.said(mirror, "mirror", "--postgres", url)

    def test_without_a_database_it_asks_for_one(self, mirror: Mirror) -> None:
        assert "--postgres" in self.said(mirror, "mirror")

    @pytest.mark.parametrize(
        "change",
        [
            "update held.metric_catalog set definition = 'secret' || chr(0)",
            "alter table held.mart_tenant_daily add column more int[] default [1]",
        ],
    )
    def test_says_nothing_of_a_value(self, mirror: Mirror, change: str) -> None:
        before = (mirror.workspace.published / "current").resolve().name
        try:
            republished(mirror.workspace, {mirror.tenants[0]: [change]})
            line = self.said(mirror, "mirror", "--postgres", mirror.url)
            assert "secret" not in line
        finally:
            point_to(mirror.workspace, before)
        assert not mirror.bring()["moved"], "readers were not moved, and what was filled is gone"
        with closing(mirror.login("quorum_benchmarks")) as connection:
            found = connection.execute("select nspname from pg_namespace where nspname ~ '^quorum_r_'").fetchall()
        assert {name.split("_")[2] for (name,) in found} == {before}

    def test_a_file_that_was_changed_goes_nowhere(self, mirror: Mirror) -> None:
        folder = (mirror.workspace.published / "current").resolve()
        file = folder / "tenants" / mirror.tenants[0] / "tenant.duckdb"
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        try:
            with pytest.raises(Refused, match="was changed after it was published"):
                mirror.bring()
        finally:
            file.write_bytes(content)


class TestAPolicy:
    @pytest.mark.parametrize(
        ("row", "kind", "said"),
        [
            ("tenant,tenant,mart_tenant_skew,own", Refused, "line 2: it may only be stricter"),
            (
                "tenant,cross_tenant,mart_benchmarks,own",
                Refused,
                "line 2: the role tenant sees nothing but the plane tenant",
            ),
            ("benchmarks,tenant,mart_tenant_daily,none", Refused, "line 2: the role benchmarks sees nothing but"),
            ("tenant,tenant,mart_tenant_daily,all", Refused, "line 2: the role tenant sees no more than own"),
            ("tenant,tenant,mart_tenant_skwe,none", BadInput, "line 2: no published relation has such a name"),
            ("everybody,tenant,mart_tenant_daily,none", BadInput, "line 2: role is not one of"),
            ("tenant,tenant,mart tenant,none", BadInput, "line 2: relation is a name"),
            ("tenant,tenant,mart_tenant_daily,some", BadInput, "line 2: sees is not one of"),
            ("tenant,tenant,mart_tenant_daily", BadInput, "line 2: it has too few or too many fields"),
        ],
    )
    def test_that_cannot_hold_is_named_by_its_line(
        self, mirror: Mirror, row: str, kind: type[Exception], said: str
    ) -> None:
        file = mirror.workspace.policy / "access.csv"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"role,plane,relation,sees\n{row}\n")
        try:
            with pytest.raises(kind, match=f"^policy/access.csv {said}"):
                mirror.bring()
        finally:
            file.unlink()


@pytest.mark.parametrize(
    "content", [b"role,plane,relation,sees\n\xff", b'role,plane,relation,sees\n"tenant"x,y,z,none']
)
def test_a_policy_that_is_no_csv_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "access.csv").write_bytes(content)
    with pytest.raises(BadInput, match=r"^policy/access.csv is no CSV in UTF-8$"):
        Access.of(tmp_path, settings.project_directory() / "seeds" / "policy" / "access.csv")


class TestARun:
    def test_mirrors_what_it_published(self, mirror: Mirror) -> None:
        mirror.admin("drop schema quorum cascade")
        arguments = ("run", "--as-of", str(worlds.LAST_DAY), "--postgres")
        nights: list[nightly.Report] = []
        night = nightly.run

        def kept(*given: Any, **options: Any) -> nightly.Report:
            nights.append(night(*given, **options))
            return nights[-1]

        with mock.patch.object(nightly, "run", kept), worlds.only_publishing():
            found = worlds.quorum(mirror.workspace, *arguments, mirror.url)
        assert found.exit_code == 0, found.stderr
        release = (mirror.workspace.published / "current").resolve().name
        assert f"Mirrored      {release} in PostgreSQL" in found.stdout
        assert faults(mirror) == []
        assert AuditLog(mirror.workspace).records()[-1].kind == "mirrored"
        assert worlds.quorum(mirror.workspace, "verify").exit_code == 0
        # a night that ends as this one did, with a database that lets nobody in
        away = sa.make_url(mirror.url).set(password="hunter2").render_as_string(hide_password=False)  # noqa: S106
        with mock.patch.object(nightly, "run", return_value=nights[0]):
            failed = worlds.quorum(mirror.workspace, *arguments, away)
        assert failed.exit_code == 1
        assert "Write down" in failed.stdout
        assert failed.stderr.splitlines()[-1].startswith("quorum: the mirror in PostgreSQL stays as it was: ")
        assert "hunter2" not in failed.stderr + failed.stdout

    def test_what_an_administrator_runs_is_printed(self, mirror: Mirror) -> None:
        assert worlds.quorum(mirror.workspace, "mirror", "--setup").stdout.strip() == mirror_setup.SETUP.strip()
        assert ADMIN not in mirror_setup.SETUP
