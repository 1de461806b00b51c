"""How pages are made: geometry, words, seals, and nothing that a value could smuggle in."""

import secrets
from base64 import b64decode, b64encode
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from quorum.hash_chain import Entry
from quorum.pages import benchmarks, operations, rendering, sealing
from quorum.pages.plots import Scale, band, line
from tests.html_text import Page

HARM = "<script>alert(1)</script>"
FINITE = st.floats(-1e9, 1e9)

FIGURES = """
    create table plane.mart_benchmarks as
    select
        'usage' as release, 'week' as period, date '2026-03-02' + cast(7 * week as integer) as period_start,
        date '2026-03-09' + cast(7 * week as integer) as period_end, level as cohort_level, key as cohort_key,
        industry as cohort_industry, '*' as cohort_region, '*' as cohort_size_band, '*' as segment, 'share' as metric,
        'search' as metric_key, 'distinct_users' as kind, status, estimate + week / 100 as estimate,
        estimate + week / 100 - 0.02 as estimate_low, estimate + week / 100 + 0.02 as estimate_high, 900.0 as users,
        2.0 as error_points, wide as rolled_up_key, 'a share' as estimand, 'u' as unit, 'm' as mechanism, 0.03 as rho,
        1.2 as epsilon, 1e-7 as delta, 'p' as policy_version, 'a' as answer_id
    from (values
        ('all', '*/*/*', '*', 'released', 0.3, null), ('industry', ? || '/*/*', ?, 'released', 0.2, null),
        ('industry', 'media/*/*', 'media', 'imprecise', null, '*/*/*')
    ) as cohorts (level, key, industry, status, estimate, wide), range(2) as weeks (week)
"""
CATALOG = """
    create table plane.mart_benchmark_catalog as
    select
        'usage' as release, 'share' as metric, 'distinct_users' as kind, 'a share' as estimand, 'somebody' as owner,
        'one user' as unit, 'users' as population, 'week' as period, 0 as lookback_days, 'each cell once' as bounds,
        0.03 as rho, 1.2 as epsilon, 1e-7 as delta, 6.0 as tolerance_points, 5 as min_tenants, 50 as tenant_cap,
        300 as least_eligible_users, 600 as users_for_tolerance
"""


def page(industry: str = "retail", budgets: tuple[dict[str, Any], ...] = ()) -> bytes:
    """Render the benchmarks of three cohorts in two weeks."""
    with duckdb.connect() as connection:
        connection.execute("create schema plane")
        connection.execute(FIGURES, [industry, industry])
        connection.execute(CATALOG)
        return benchmarks.page(connection, "plane", budgets)


class TestBenchmarks:
    def test_the_same_rows_give_the_same_bytes(self) -> None:
        assert page() == page()

    def test_a_label_is_text_whatever_it_looks_like(self) -> None:
        harmed, sound = Page(page(HARM)), Page(page())
        assert HARM in harmed.text
        assert [tag for tag, _ in harmed.tags] == [tag for tag, _ in sound.tags]

    def test_what_is_withheld_has_a_reason_and_no_figure(self) -> None:
        found = Page(page())
        assert [row[0] for row in found.tables["Share: search"][1:]] == ["All cohorts", "retail"]
        assert found.tables["Withheld of usage"][1:] == [["media", "imprecise", "1", "All cohorts"]]

    def test_it_tells_what_is_spent_and_left(self) -> None:
        spent = {"population": "users", "window": "2026-W11", "rho": Decimal("0.040"), "limit": Decimal("0.05")}
        loss = {"epsilon": 1.4, "delta": Decimal("1e-7"), "warning": False, "refreshes": date(2026, 3, 16)}
        [_, row] = Page(page(budgets=(spent | loss,))).tables["Budgets"]
        assert row[:3] + row[4:6] == ["users", "2026-W11", "0.040", "0.05", "0.010"]
        [_, row] = Page(page(budgets=(spent | loss | {"limit": None, "refreshes": None},))).tables["Budgets"]
        assert row[4:6] + row[-1:] == ["no limit", rendering.NOTHING, "never"]

    def test_a_quantile_beyond_the_last_bin_is_told_in_words(self) -> None:
        with duckdb.connect() as connection:
            connection.execute("create schema plane")
            connection.execute(FIGURES, ["retail", "retail"])
            connection.execute(CATALOG)
            connection.execute(
                "update plane.mart_benchmarks set kind = 'quantile', estimate = null where status = 'released'"
            )
            found = Page(benchmarks.page(connection, "plane", ()))
        assert "Share: search, retail: beyond the last bin" in found.text
        assert "Share: search" not in found.tables

    def test_nothing_released_is_a_page_too(self) -> None:
        with duckdb.connect() as connection:
            connection.execute("create schema plane")
            connection.execute(FIGURES, ["retail", "retail"])
            connection.execute(CATALOG)
            for mart in ("mart_benchmarks", "mart_benchmark_catalog"):
                connection.execute(f"delete from plane.{mart}")
            assert "Nothing was released yet" in Page(benchmarks.page(connection, "plane", ())).text


class TestScale:
    @given(st.lists(FINITE, max_size=5), st.booleans())
    def test_it_covers_all_values_with_a_few_round_ticks(self, values: list[float], zero: bool) -> None:
        scale = Scale.of(values, zero=zero)
        assert 2 <= len(scale.ticks) <= 8
        assert list(scale.ticks) == sorted({*scale.ticks})
        slack = 1e-9 * max(abs(scale.low), abs(scale.high))
        assert all(scale.low - slack <= value <= scale.high + slack for value in values + [0.0] * zero)
        assert (scale.at(scale.low), scale.at(scale.high)) == (0, 100)

    def test_dust_is_no_difference(self) -> None:
        scale = Scale.of([1.0, 1.0 + 1e-13], zero=False)
        assert scale.low < 1 < scale.high
        assert abs(scale.at(1.0) - scale.at(1.0 + 1e-13)) < 0.1

    def test_a_line_is_torn_where_a_figure_is_withheld(self) -> None:
        assert line([(0, 1), (50, 2), None, (100, 3)]) == "M0 1L50 2M100 3h0"
        assert band([(0, 1), (1, 1), None], [(0, 2), (1, 2), (2, 2)]) == "M0 1L1 1L1 2L0 2Z"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (rendering.figure(1234.5), "1,234"),
        (rendering.figure(-3.25), "\N{MINUS SIGN}3.2"),
        (rendering.figure(None), rendering.NOTHING),
        (rendering.figure(float("nan")), rendering.NOTHING),
        (rendering.share(Decimal("0.12345")), "12.3 %"),
        (rendering.share(-0.004), "\N{MINUS SIGN}0.4 %"),
        (rendering.small(1.44e-7), "1.44 \N{MULTIPLICATION SIGN} 10⁻⁷"),
        (rendering.small(Decimal("0.050")), "0.050"),
        (rendering.day(date(2026, 3, 2)), "2 March 2026"),
        (rendering.words("active_in_weeks_1_2"), "active in weeks 1 to 2"),
    ],
)
def test_numbers_read_as_people_write_them(text: str, shown: str) -> None:
    assert text == shown


class TestSeal:
    key = b64encode(bytes(range(32))).decode()

    @given(st.binary(max_size=100).map(lambda text: text.rstrip(b" ")))
    def test_its_key_opens_it(self, text: bytes) -> None:
        assert sealing.opened(sealing.sealed(text, self.key), self.key) == text

    def test_nothing_else_does(self) -> None:
        seal = sealing.sealed(b"figures", self.key)
        with pytest.raises(InvalidTag):
            sealing.opened(seal, b64encode(secrets.token_bytes(32)).decode())
        changed = bytearray(b64decode(seal))
        changed[20] ^= 1
        with pytest.raises(InvalidTag):
            sealing.opened(b64encode(changed).decode(), self.key)

    def test_its_length_and_bytes_say_nothing(self) -> None:
        seals = [sealing.sealed(text, self.key) for text in (b"", b"x" * 9000, b"x" * sealing.BLOCK)]
        assert len({len(seal) for seal in seals}) == 1
        assert sealing.sealed(b"", self.key) != seals[0], "no nonce comes twice"

    def test_a_check_tells_contents_apart_and_is_of_the_key(self) -> None:
        other = b64encode(bytes(32)).decode()
        checks = [sealing.check(content, key) for content in (b"a", b"b") for key in (self.key, other)]
        assert len({*checks}) == 4
        assert sealing.check(b"a", self.key) == checks[0]


def test_the_run_history_tells_how_each_run_ended() -> None:
    entries: list[Entry] = []
    for kind, facts in (
        ("keys_rotated", {}),
        ("run_started", {"as_of": "2026-03-01"}),
        *[("charged", {})] * 2,
        ("run_ended", {"release": "r1"}),
        ("anchor", {}),
        ("run_started", {"as_of": "2026-03-02"}),
        ("run_failed", {"error": "Refused"}),
        *[("refused", {})] * 2,
        ("run_started", {"as_of": "2026-03-03"}),
    ):
        entries.append(Entry.after(entries[-1] if entries else None, kind, facts))
    assert operations.runs(entries) == [
        {"as_of": "2026-03-03", "ended": "was cut off", "release": None, "answers": 0, "notes": []},
        {
            "as_of": "2026-03-02",
            "ended": "failed (Refused)",
            "release": None,
            "answers": 0,
            "notes": ["refused 2 times"],
        },
        {"as_of": "2026-03-01", "ended": "well", "release": "r1", "answers": 2, "notes": []},
    ]
