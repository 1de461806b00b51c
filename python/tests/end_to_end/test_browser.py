"""The pages in a real browser: they render, complain of nothing, ask for nothing, and work by keyboard and when narrow.

Skipped where there is no Chromium (`apt-get install chromium`).
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorum import bundles, publish, release_folders
from quorum.bundles import Bundle
from quorum.keyring import Keyring
from tests import browser
from tests.browser import Tab
from tests.end_to_end import worlds
from tests.end_to_end.conftest import Night

pytestmark = pytest.mark.skipif(browser.PROGRAM is None, reason="no Chromium here: apt-get install chromium")

# What can be acted on, or scrolled, by hand; what lies in a closed `details` cannot.
INTERACTIVE = """
    [...document.querySelectorAll('a[href], button, input, summary, [tabindex="0"]')].filter(e => e.checkVisibility())
"""
FOCUSED = """(() => {
    const found = document.activeElement, style = getComputedStyle(found), box = found.getBoundingClientRect();
    const place = %s.indexOf(found);
    const seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
    const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
    return [place, seen, box.width > 0 && inside];
})()""" % INTERACTIVE.strip()  # noqa: UP031  # braces are JavaScript's
OPENED = """new Promise((done) => {
    const look = () => document.getElementById('figures').innerHTML || document.getElementById('told').textContent
        ? done(document.getElementById('figures').innerText) : setTimeout(look, 20);
    look();
})"""
TAB, ENTER = ("Tab", 9), ("Enter", 13)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser.started(tmp_path_factory.mktemp("browser")) as running:
        yield running.tab()


@pytest.fixture(scope="module")
def tenant(benchmarked_night: Night) -> Bundle:
    workspace = benchmarked_night.workspace
    return bundles.of_tenants(workspace, Keyring.open(workspace.keyring))[0]


@pytest.fixture(scope="module")
def pages(benchmarked_night: Night, tenant: Bundle) -> dict[str, Path]:
    workspace = benchmarked_night.workspace
    current = workspace.published / "current"
    return {
        "benchmarks": current / release_folders.CROSS_TENANT / publish.PAGE,
        "tenant": current / release_folders.TENANTS / tenant.tenant_key / publish.PAGE,
        "operator": workspace.operator_page,
    }


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (768, True), (320, False)])
@pytest.mark.parametrize("name", ["benchmarks", "tenant", "operator"])
def test_it_renders_and_asks_for_nothing(tab: Tab, pages: dict[str, Path], name: str, width: int, dark: bool) -> None:
    page = pages[name]
    tab.open(page, width=width, dark=dark)
    tab.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert tab.complaints() == []
    assert [url for url in tab.requests() if not url.startswith("data:")] == [page.resolve().as_uri()]
    assert tab.evaluate("document.documentElement.scrollWidth") <= width, "it is no wider than the window"
    assert tab.evaluate("document.querySelectorAll('main section').length") >= 4
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    lightness = sum(int(part) for part in re.findall(r"\d+", background)[:3])
    assert lightness < 150 if dark else lightness > 600, "it is styled, and as the reader likes it"
    small = "[...document.querySelectorAll('main *')].filter(e => parseFloat(getComputedStyle(e).fontSize) < 10).length"
    assert tab.evaluate(small) == 0


def test_a_complaint_would_be_heard(tab: Tab, pages: dict[str, Path], tmp_path: Path) -> None:
    """And what slips into a page can neither run nor call home."""
    harmed = tmp_path / "harmed.html"
    harm = b"<script>window.harmed = 1</script><img src='http://127.0.0.1:9/x'><p style='width: 2000px'>wide</p></main>"
    harmed.write_bytes(pages["benchmarks"].read_bytes().replace(b"</main>", harm))
    tab.open(harmed, width=320)
    assert len(tab.complaints()) >= 3
    assert tab.evaluate("typeof window.harmed") == "undefined"
    assert [url for url in tab.requests() if url.startswith("http")] == []
    loose = tmp_path / "loose.html"
    loose.write_bytes(harmed.read_bytes().replace(b"Content-Security-Policy", b"x"))
    tab.open(loose, width=320)
    assert tab.evaluate("window.harmed") == 1
    assert "http://127.0.0.1:9/x" in tab.requests()
    assert tab.evaluate("document.documentElement.scrollWidth") > 320


@pytest.mark.parametrize("name", ["benchmarks", "tenant", "operator"])
def test_the_keyboard_reaches_everything_and_shows_where_it_is(tab: Tab, pages: dict[str, Path], name: str) -> None:
    tab.open(pages[name])
    parts = tab.evaluate(f"{INTERACTIVE}.length")
    assert parts > 5
    places = []
    for _ in range(parts):
        tab.press(*TAB)
        place, has_outline, is_seen = tab.evaluate(FOCUSED)
        assert has_outline, place
        assert is_seen, place
        places.append(place)
    assert places == list(range(parts)), "each once, in the order of the page"


def test_a_focus_that_nobody_sees_would_be_found(tab: Tab, pages: dict[str, Path], tmp_path: Path) -> None:
    blind = tmp_path / "blind.html"
    content = pages["benchmarks"].read_bytes().replace(b"Content-Security-Policy", b"x")
    blind.write_bytes(content.replace(b":focus-visible { outline: 3px", b":focus-visible { outline: 0px"))
    tab.open(blind)
    tab.press(*TAB)
    assert tab.evaluate(FOCUSED) == [0, False, True]


def test_the_first_key_skips_to_the_content(tab: Tab, pages: dict[str, Path]) -> None:
    tab.open(pages["benchmarks"])
    tab.press(*TAB)
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the content"
    tab.press(*ENTER)
    assert tab.evaluate("document.activeElement.id") == "content"


class TestTenant:
    def test_a_key_opens_its_figures(
        self, tab: Tab, pages: dict[str, Path], tenant: Bundle, benchmarked_night: Night
    ) -> None:
        """By keyboard alone, in a narrow window."""
        tab.open(pages["tenant"], width=320)
        tab.evaluate("document.getElementById('key').focus()")
        tab.write(tenant.key)
        tab.press(*ENTER)
        text = tab.evaluate(OPENED)
        query = "select max_by(weekly_active_users, activity_date) from mart_tenant_daily where tenant_key = $1"
        [(users,)] = worlds.fetch(benchmarked_night.workspace, "tenant", query, [tenant.tenant_key])
        assert re.search(rf"Users in seven days\s+{users:,}\b", text)
        assert tab.evaluate("document.activeElement.id") == "figures"
        assert tab.evaluate("document.getElementById('open').checkVisibility()") is False
        assert tab.evaluate("document.documentElement.scrollWidth") <= 320
        assert tab.complaints() == []
        assert len([url for url in tab.requests() if not url.startswith("data:")]) == 1

    @pytest.mark.parametrize("key", ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "no key at all"])
    def test_another_key_opens_nothing_and_is_told_so(self, tab: Tab, pages: dict[str, Path], key: str) -> None:
        tab.open(pages["tenant"])
        tab.evaluate("document.getElementById('key').focus()")
        tab.write(key)
        tab.press(*ENTER)
        assert tab.evaluate(OPENED) == ""
        assert "not the key" in tab.evaluate("document.getElementById('told').innerText")
        assert tab.complaints() == []
