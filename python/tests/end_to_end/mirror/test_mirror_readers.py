"""Who reads the mirror sees what is theirs in the files, all of it, and nothing of anybody else by any way."""

import csv
from collections.abc import Iterator
from contextlib import closing
from fnmatch import fnmatchcase

import pandas as pd
import psycopg
import pytest
import sqlalchemy as sa

from quorum import settings
from quorum.audit import AuditLog
from tests.end_to_end.mirror import probes
from tests.end_to_end.mirror.mirrors import FOR_ALL, PASSWORD, Mirror, republished
from tests.end_to_end.mirror.probes import Connection


@pytest.fixture(scope="module")
def tenants(mirror: Mirror) -> tuple[str, str]:
    """Two that have rows in every mart, or as many as others: the keys of one who asks, and of one asked about."""
    return mirror.tenants[0], mirror.tenants[1]


@pytest.fixture
def reader(mirror: Mirror, tenants: tuple[str, str]) -> Iterator[Connection]:
    """Somebody of the first, whom an administrator lets make temporary objects: a function of theirs is one."""
    mirror.admin("grant temporary on database marts to public")
    with closing(mirror.of_tenant(tenants[0])) as connection:
        connection.execute(probes.TELL)
        yield connection
    mirror.admin("revoke temporary on database marts from public")


def role_of(tenant_key: str) -> str:
    return f"quorum_t_{tenant_key}"


class TestWhatIsTheirs:
    def test_a_tenant_reads_its_bundle(self, mirror: Mirror) -> None:
        for tenant_key in mirror.tenants:
            held = mirror.published(tenant_key)
            with closing(mirror.of_tenant(tenant_key)) as connection:
                for name, rows in held.rows.items():
                    found = connection.execute(f"select * from {role_of(tenant_key)}.{name}".encode()).fetchall()
                    assert sorted(map(repr, found)) == sorted(map(repr, rows)), name
            assert sum(map(len, held.rows.values())) > 100

    def test_benchmarks_are_those_of_the_files(self, mirror: Mirror) -> None:
        with closing(mirror.login("quorum_benchmarks")) as connection:
            for name, rows in mirror.published(FOR_ALL).rows.items():
                found = connection.execute(f"select * from quorum.{name}".encode()).fetchall()
                assert sorted(map(repr, found)) == sorted(map(repr, rows)), name

    def test_what_the_files_say_of_their_columns_is_said_here(self, mirror: Mirror, tenants: tuple[str, str]) -> None:
        query = (
            "select relname, attname, description from pg_description join pg_class on pg_class.oid = objoid "
            "left join pg_attribute on attrelid = objoid and attnum = objsubid and objsubid > 0 "
            "where classoid = 'pg_class'::regclass and relnamespace = %s::regnamespace"
        )
        for schema, login, key in (
            (role_of(tenants[0]), role_of(tenants[0]), tenants[0]),
            ("quorum", "quorum_benchmarks", FOR_ALL),
        ):
            with closing(mirror.login(login)) as connection:
                said = {(table, column): text for table, column, text in connection.execute(query, [schema]).fetchall()}
                [(told,)] = connection.execute("select obj_description(%s::regnamespace)", [schema]).fetchall()
            assert said == mirror.published(key).comments
            assert ('"releases"' in told) == (key == FOR_ALL)
            assert ('"exact": true' in told) == (key != FOR_ALL)

    def test_who_takes_the_role_needs_no_schema(self, mirror: Mirror, tenants: tuple[str, str]) -> None:
        with closing(mirror.of_tenant(tenants[0])) as connection:
            connection.execute(f"set role {role_of(tenants[0])}".encode())
            [(key,)] = connection.execute("select distinct tenant_key from mart_tenant_daily").fetchall()
        assert key == tenants[0]

    def test_sqlalchemy_and_pandas_open_it(self, mirror: Mirror, tenants: tuple[str, str]) -> None:
        with closing(mirror.of_tenant(tenants[0])) as connection:
            login = connection.info.user
        url = sa.make_url(mirror.server.url("marts", login, PASSWORD)).set(drivername="postgresql+psycopg")
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        schema = role_of(tenants[0])
        names = sa.inspect(engine).get_view_names(schema)
        assert sorted(names) == sorted(mirror.published(tenants[0]).rows)
        daily = sa.Table("mart_tenant_daily", sa.MetaData(), schema=schema, autoload_with=engine)
        assert isinstance(daily.c.activity_date.type, sa.Date)
        assert isinstance(daily.c.events.type, sa.BigInteger)
        assert daily.c.events.comment
        with engine.connect() as opened:
            frame = pd.read_sql(sa.select(daily), opened)
        assert set(frame.tenant_key) == {tenants[0]}


class TestWhatIsNot:
    @pytest.mark.parametrize("statement", probes.STATEMENTS)
    def test_no_relation_shows_another_tenants_rows(
        self, mirror: Mirror, reader: Connection, tenants: tuple[str, str], statement: str
    ) -> None:
        """Of all that the catalog lists, a tenant reads its own views and their tables, and is denied the rest."""
        asker, other = tenants
        found = probes.relations(reader)
        assert len(found) > 4 * 20
        for schema, relation in found:
            told = probes.ask(reader, statement, schema, relation, other)
            if schema.endswith(asker):
                assert told.replace(schema, "").count(other) <= statement.count("{key}"), told[:500]
            else:
                assert "permission denied" in told or "must be owner" in told, (schema, relation, told[:500])
                assert "told:" not in told
                # what it asked for may be repeated, and what the catalog says of names
                assert not any(key in told for key in mirror.tenants if key not in schema), told[:500]

    def test_the_probes_find_rows_where_there_are_some(self, reader: Connection, tenants: tuple[str, str]) -> None:
        told = [probes.ask(reader, each, role_of(tenants[0]), "mart_tenant_daily", "") for each in probes.STATEMENTS]
        assert sum(tenants[0] in each for each in told) >= 12
        assert any("rows=" in each for each in told)
        assert (
            f"told: {tenants[0]}"
            in told[probes.STATEMENTS.index("select * from {relation} where pg_temp.tell(tenant_key::text)")]
        )

    def test_nobody_becomes_somebody_else(self, mirror: Mirror, reader: Connection, tenants: tuple[str, str]) -> None:
        for role in (role_of(tenants[1]), "quorum_mirror", "quorum_benchmarks", "admin", "pg_read_all_data"):
            for verb in (f"set role {role}", f"set session authorization {role}", f"grant {role} to current_user"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    reader.execute(verb.encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("select quorum_roles.make(repeat('a', 32))")

    def test_benchmarks_are_all_that_their_role_sees(self, mirror: Mirror) -> None:
        with closing(mirror.login("quorum_benchmarks")) as connection:
            connection.execute("select 1")
            for schema, relation in probes.relations(connection):
                told = probes.ask(connection, "select * from {relation}", schema, relation, "")
                is_for_all = relation.startswith("mart_benchmark")
                assert ("permission denied" in told) == (not is_for_all), (schema, relation)

    def test_a_right_given_by_mistake_shows_nothing(self, mirror: Mirror, tenants: tuple[str, str]) -> None:
        """Row-level security is the second wall: with rights on another's views and tables there are still no rows."""
        asker, other = tenants
        schemas = [role_of(other), *(s for s, _ in relations_of(mirror, f"quorum_r_%_{other}"))]
        for schema in set(schemas):
            mirror.admin(f"grant usage on schema {schema} to {role_of(asker)}")
            mirror.admin(f"grant select on all tables in schema {schema} to {role_of(asker)}")
        try:
            with closing(mirror.of_tenant(asker)) as connection:
                for schema, relation in relations_of(mirror, f"quorum\\_%{other}"):
                    assert connection.execute(f"select * from {schema}.{relation}".encode()).fetchall() == []
                    plan = connection.execute(f"explain analyze select * from {schema}.{relation}".encode()).fetchall()
                    assert "Removed" not in str(plan), "the plan knows before it looks"
        finally:
            assert mirror.bring()["moved"], "what is there beyond the policy is taken away again"
        with closing(mirror.of_tenant(asker)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"select * from {role_of(other)}.mart_tenant_daily".encode())


def relations_of(mirror: Mirror, like: str) -> list[tuple[str, str]]:
    with closing(mirror.login("pg_read_all_data")) as connection:
        return [
            each
            for each in probes.relations(connection)
            if fnmatchcase(each[0], like.replace("\\", "").replace("%", "*"))
        ]


class TestNeighbours:
    """Whatever another tenant's rows are, catalogs, functions and plans tell somebody the same, byte for byte."""

    def test_nothing_tells_how_many_rows_another_tenant_has(self, mirror: Mirror, tenants: tuple[str, str]) -> None:
        asker, other = tenants
        republished(mirror.workspace, {other: ["select 1"]})  # so that the catalog lists two releases each time
        mirror.bring()
        before = self.told(mirror, asker, other)
        many = [
            f"insert into held.{mart} select known.* from held.{mart} as known, range(400)"
            for mart in ("mart_tenant_daily", "mart_tenant_features", "mart_tenant_skew")
        ]
        republished(mirror.workspace, {other: many})
        assert mirror.bring()["moved"]
        after = self.told(mirror, asker, other)
        assert before.keys() == after.keys()
        assert {name: (said, after[name]) for name, said in before.items() if said != after[name]} == {}
        # what would have told: the size that everybody may ask for on a server as it comes
        size = "pg_relation_size(regclass,text)"
        mirror.admin(f"grant execute on function {size} to public")
        tells = self.told(mirror, asker, other)
        mirror.admin(f"revoke execute on function {size} from public")
        assert ("permission denied" in after[size], "permission denied" in tells[size]) == (True, False)

    def test_no_other_database_tells_either(self, mirror: Mirror, tenants: tuple[str, str]) -> None:
        """Functions were taken from PUBLIC in one database: in another they are there, and tell of this one too."""
        databases = {"postgres", "template0", "template1"}
        for group in (*map(role_of, tenants), "quorum_benchmarks", "quorum_reader"):
            with closing(mirror.login(group)) as connection:
                listed = {name for (name,) in connection.execute("select datname from pg_database").fetchall()}
            assert listed == {mirror.database, *databases}
            for database in sorted(databases):
                with pytest.raises(psycopg.OperationalError, match=r"permission denied|is not currently accepting"):
                    mirror.login(group, database)
        # what would have told: each row that was ever written to the mirror, and how large it is
        told = []
        for open_to in ("public", "quorum_reader", role_of(tenants[0])):
            mirror.admin(f"grant connect on database template1 to {open_to}")
            with closing(mirror.login(role_of(tenants[0]), "template1")) as connection:
                told += connection.execute(
                    "select tup_inserted, pg_database_size(datname) from pg_stat_database where datname = %s",
                    [mirror.database],
                ).fetchall()
            mirror.admin(f"revoke connect on database template1 from {open_to}")
        assert min(map(min, told)) > sum(map(len, mirror.published(tenants[1]).rows.values()))

    def test_a_table_that_is_analysed_would_tell(self, mirror: Mirror, tenants: tuple[str, str]) -> None:
        """What is not closed: an administrator who lets the server count rows lets everybody read the count."""
        asker, other = tenants
        before = self.told(mirror, asker, other)
        mirror.admin(f'analyze "{self.table(mirror, other)}"."mart_tenant_daily"')
        after = self.told(mirror, asker, other)
        assert [name for name in before if before[name] != after[name]] == ["pg_class"]

    @staticmethod
    def table(mirror: Mirror, tenant_key: str) -> str:
        release = (mirror.workspace.published / "current").resolve().name
        return f"quorum_r_{release}_{tenant_key}"

    @classmethod
    def told(cls, mirror: Mirror, asker: str, other: str) -> dict[str, str]:
        schema = cls.table(mirror, other)
        with closing(mirror.of_tenant(asker)) as connection:
            plans = {
                f"plan of {relation}": probes.ask(
                    connection,
                    "explain (analyze, timing off, summary off) select * from {relation}",
                    place,
                    relation,
                    "",
                )
                for place in (role_of(asker), cls.table(mirror, asker))
                for _, relation in relations_of(mirror, role_of(asker))
            }
            told = probes.catalogs(connection) | probes.functions(connection, schema, "mart_tenant_daily")
            return told | {name: probes._without_numbers(plan) for name, plan in plans.items()}


class TestAccessPolicy:
    def test_the_catalog_grants_what_the_policy_says(self, mirror: Mirror) -> None:
        """Derived anew: from the rows of the seed, and from what the files hold."""
        with (settings.project_directory() / "seeds" / "policy" / "access.csv").open() as file:
            policy = [row for row in csv.DictReader(file) if row["sees"] != "none"]
        release = (mirror.workspace.published / "current").resolve().name
        wanted = set()
        for key in (FOR_ALL, *mirror.tenants):
            kind, role = ("tenant", role_of(key)) if key else ("benchmarks", "quorum_benchmarks")
            views, tables = (role if key else "quorum"), f"quorum_r_{release}" + (f"_{key}" if key else "")
            for relation in mirror.published(key).rows:
                if any(row["role"] == kind and fnmatchcase(relation, row["relation"]) for row in policy):
                    wanted |= {(role, schema, relation, "SELECT") for schema in (views, tables)}
        with closing(mirror.login("pg_read_all_data")) as connection:
            found = connection.execute(
                "select grantee, table_schema, table_name, privilege_type from information_schema.role_table_grants "
                "where table_schema ~ '^quorum' and grantee <> grantor"
            ).fetchall()
            granted = connection.execute(
                "select coalesce(rolname, 'PUBLIC'), nspname, relname, privilege_type from pg_class "
                "join pg_namespace on pg_namespace.oid = relnamespace, aclexplode(relacl) left join pg_roles "
                "on pg_roles.oid = grantee where nspname ~ '^quorum' and grantee <> relowner"
            ).fetchall()
        assert set(granted) == wanted
        assert set(found) <= wanted

    def test_a_workspace_can_be_stricter_at_once_and_is_on_the_audit_log(
        self, mirror: Mirror, tenants: tuple[str, str]
    ) -> None:
        release = (mirror.workspace.published / "current").resolve().name
        tables = f"quorum_r_{release}_{tenants[0]}"
        mirror.workspace.policy.mkdir(exist_ok=True)
        file = mirror.workspace.policy / "access.csv"
        file.write_text("role,plane,relation,sees\ntenant,tenant,mart_tenant_skew,none\n")
        try:
            assert mirror.bring()["mirrored"] == release
            with closing(mirror.of_tenant(tenants[0])) as connection:
                assert (role_of(tenants[0]), "mart_tenant_skew") not in probes.relations(connection)
                for schema, relation in probes.relations(connection):
                    told = probes.ask(connection, "select * from {relation}", schema, relation, "")
                    own = schema in (role_of(tenants[0]), tables) and relation != "mart_tenant_skew"
                    assert ("permission denied" in told) == (not own), (schema, relation)
            last = AuditLog(mirror.workspace).of("mirrored")[-1].facts
            assert "mart_tenant_skew" not in last["relations"]["tenant"]
            assert (last["release"], last["granted"], last["withdrawn"]) == (release, [], [])
        finally:
            file.unlink()
        assert mirror.bring()["moved"]
        again = AuditLog(mirror.workspace).of("mirrored")[-1].facts
        assert "mart_tenant_skew" in again["relations"]["tenant"]
        assert again["policy"] != last["policy"]
