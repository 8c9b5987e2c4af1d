"""report.html in a real browser: no error, nothing loaded, accessible, reached by keyboard, as wide as the window, filters that choose."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from pytest_k8ssec.reach.difference import differences
from pytest_k8ssec.reports.attack import attack_page
from pytest_k8ssec.reports.page.history import EarlierRun
from pytest_k8ssec.reports.page.written import report_page
from pytest_k8ssec.reports.reach_map import reach_page
from tests.unit.reach.reaching import sampled
from tests.unit.reports.forms.test_forms import attack, blame, report, result
from tests.unit.reports.page.test_page import SINCE, everything, graphs, many, measured

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_LONG = "a-name-without-any-place-to-break-" * 8
_EVIL = "</style></script><script>window.pwned=1</script><img src=x onerror=pwned=1>\" onfocus=pwned=1 autofocus '"
_FILTERS = ["search", "filter-verdict", "filter-severity", "filter-family", "filter-framework", "filter-subject", "filter-owner", "filter-change"]  # fmt: skip

Opened = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless; a root can't have its sandbox."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        why = "chromium: is not installed (on Debian: apt-get install --no-install-recommends chromium)"
        (pytest.fail if os.environ.get("K8SSEC_REQUIRE_BROWSER") == "1" else pytest.skip)(why)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of several reports, by name, and those that commands write."""
    evil = result(
        _EVIL, title=_EVIL, subject="", reason=_EVIL, attacks=[attack(_EVIL)], blamed=[blame(_EVIL, _EVIL, finding=_EVIL)],
        remediation=_EVIL, snippets=[{"language": "sh", "text": _EVIL}], notes=[_EVIL],
    )  # fmt: skip
    wide = [
        result(_LONG, title=_LONG, subject="", reason=_LONG, attacks=[attack(_LONG)], blamed=[blame(_LONG, f"{_LONG}.py:1", finding=_LONG)], notes=[_LONG]),
        *many(4)[:2],
    ]  # fmt: skip
    documents = {
        "everything": report(*everything(), since=SINCE, reach=[measured()]),
        "evil": report(evil, cluster={"name": _EVIL, "origin": _EVIL}, stack={"project": _EVIL}),
        "wide": report(*everything(), *wide, reach=[{**measured(), "notes": [_LONG]}], stack={"project": _LONG}),
        "nothing": report(),
    }
    folder = tmp_path_factory.mktemp("pages")
    made = {}
    for name, document in documents.items():
        made[name] = folder / f"{name}.html"
        earlier = [EarlierRun.of(report(*everything()[:3], id="run-0"))] if name == "everything" else []
        made[name].write_text(report_page(document, earlier), encoding="utf-8")
    found = sampled()
    alone = {"reach": reach_page(found, None, differences(found)), "blast": attack_page(graphs())}
    for name, text in alone.items():
        made[name] = folder / f"{name}.html"
        made[name].write_text(text, encoding="utf-8")
    return made


@pytest.fixture
def opened(browser: Browser, files: dict[str, Path]) -> Iterator[Opened]:
    """``opened(name, **context)``: a page as a file. What it complains of, and what it asks for, is an error in the end."""
    contexts = []
    said: list[str] = []
    asked: list[str] = []

    def go(name: str = "everything", hash_: str = "", **about: Any) -> Page:
        contexts.append(browser.new_context(**about))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda each: said.append(f"{each.type}: {each.text}"))
        page.on("pageerror", lambda each: said.append(str(each)))
        page.on("dialog", lambda each: said.append(f"dialog: {each.message}"))
        page.on("request", lambda each: asked.append(each.url))
        page.goto(f"{files[name].as_uri()}{hash_}")
        return page

    yield go
    for context in contexts:
        context.close()
    assert not said
    assert all(each.partition("#")[0] in {path.as_uri() for path in files.values()} for each in asked)


def visible(page: Page) -> list[str]:
    """The ids of the verdicts that are seen."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('.verdicts > li')].filter(e => e.offsetParent).map(e => e.id)"
    )
    return found  # fmt: skip


def open_all(page: Page) -> None:
    """Open all that folds."""
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")


@pytest.mark.parametrize("name", ["everything", "evil", "wide", "nothing", "reach", "blast"])
def test_no_error_and_nothing_loaded(opened: Opened, name: str) -> None:
    """Whatever names hold: no script of theirs runs."""
    page = opened(name)
    open_all(page)
    assert page.evaluate("window.pwned === undefined")
    assert 0 == page.evaluate("document.querySelectorAll('img, script:not(:last-child)').length")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["everything", "evil", "reach", "blast"])
def test_axe_finds_nothing_serious(opened: Opened, scheme: str, name: str) -> None:
    """Closed and opened; axe itself may run though the page forbids scripts of others."""
    axe = (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    page = opened(name, color_scheme=scheme, bypass_csp=True)
    page.evaluate(axe)
    for opening in (lambda _: None, open_all):
        opening(page)
        found = page.evaluate("axe.run()")
        bad = [
            f"{each['impact']} {each['id']}: {node['html'][:200]} {node['failureSummary']}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"][:3]
        ]
        assert not bad, "\n".join(bad)
        assert len(found["passes"]) > 10


@pytest.mark.parametrize("width", [390, 1400, 2560])
@pytest.mark.parametrize("name", ["everything", "evil", "wide", "nothing", "reach", "blast"])
def test_the_page_is_never_wider_than_the_window(opened: Opened, width: int, name: str) -> None:
    """Wide tables scroll within themselves."""
    page = opened(name, viewport={"width": width, "height": 900})
    for opening in (lambda _: None, open_all):
        opening(page)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width


def test_each_filter_shows_what_has_that_value_and_says_how_many(opened: Opened) -> None:
    """And nothing else; cards of breaches go with their verdicts."""
    page = opened()
    everyone = visible(page)
    assert len(everything()) == len(everyone)
    assert _FILTERS == page.evaluate("[...document.querySelectorAll('#filters input, #filters select')].map(e => e.id)")
    for name in [each.removeprefix("filter-") for each in _FILTERS[1:]]:
        for value in page.evaluate(f"[...document.getElementById('filter-{name}').options].map(e => e.value)"):
            page.select_option(f"#filter-{name}", value)
            wanted = page.evaluate(
                "([name, value]) => [...document.querySelectorAll('.verdicts > li')]"
                ".filter(e => !value || e.dataset[name].split('\\n').includes(value)).map(e => e.id)",
                [name, value],
            )
            assert wanted
            assert wanted == visible(page)
            assert f"{len(wanted)} of {len(everyone)} verdicts" == page.inner_text("#shown")
        assert len(visible(page)) < len(everyone)
        page.click("#reset")
        assert everyone == visible(page)
    page.select_option("#filter-severity", "critical")
    assert 1 == page.evaluate("[...document.querySelectorAll('.card')].filter(e => e.offsetParent).length")
    page.select_option("#filter-verdict", "held")
    assert not visible(page)
    assert page.is_visible("#none")


def test_the_search_finds_words_anywhere_in_a_verdict(opened: Opened) -> None:
    """All words that are typed, also in what is folded."""
    page = opened()
    for words, wanted in {"DOOR a.py:3": ["control-etcd-open"], "zzz": [], "team web": ["control-net-side"]}.items():
        page.fill("#search", words)
        expect(page.locator("#shown")).to_have_text(f"{len(wanted)} of {len(everything())} verdicts")
        assert wanted == visible(page)


def test_a_link_to_a_verdict_opens_it(opened: Opened) -> None:
    """From outside, and from the card above, also where it was filtered out."""
    page = opened(hash_="#control-wl-fine")
    assert page.evaluate("document.querySelector('#control-wl-fine > details').open")
    assert not page.evaluate("document.querySelector('#control-net-door > details').open")
    page.click(".card a[href='#control-net-door']")
    expect(page.locator("#control-net-door > details")).to_have_attribute("open", "")


def test_everything_is_reached_by_keyboard(opened: Opened) -> None:
    """Each filter, link and fold, in the order of the page; Enter opens; what is inside comes next."""
    page = opened()
    everything_there = "[...document.querySelectorAll('a[href], input, select, button, summary, [tabindex=\"0\"]')].filter(e => e.checkVisibility())"
    for opening in (lambda _: None, open_all):
        opening(page)
        count = page.evaluate(f"(window.there = {everything_there}).length")
        page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges(); scrollTo(0, 0)")
        page.focus("a.skip")
        reached = [page.evaluate("there.indexOf(document.activeElement)")]
        for _ in range(count - 1):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("there.indexOf(document.activeElement)"))
        assert [*range(count)] == reached
    page.reload()
    page.focus("#control-etcd-open > details > summary")
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('#control-etcd-open > details').open")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_headings_are_in_order_and_parts_are_landmarks(opened: Opened) -> None:
    """No level is left out; one title."""
    page = opened()
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(e => +e.tagName[1])")
    assert [1] == levels[:1]
    assert 1 == levels.count(1)
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for tag in ("header", "nav", "main", "footer", "[role=search]"):
        assert 1 == page.locator(tag).count(), tag


def test_without_scripts_all_is_there_but_the_filters(opened: Opened) -> None:
    """And that is said."""
    page = opened(java_script_enabled=False)
    assert page.is_hidden("#filters")
    assert page.is_visible("noscript p")
    for each in everything():
        assert page.locator(f".verdicts .name >> text={each['control']}").is_visible()
    page.click("#control-net-door > details > summary")
    assert page.locator("#control-net-door .inside").is_visible()


def test_dark_is_dark_and_paper_is_light(opened: Opened) -> None:
    """As the reader's system has it; printed without what a reader of paper can't use."""
    colour = "getComputedStyle(document.body).backgroundColor"
    page = opened(color_scheme="dark")
    assert "rgb(13, 17, 23)" == page.evaluate(colour)
    page.emulate_media(media="print", color_scheme="dark")
    assert "rgb(255, 255, 255)" == page.evaluate(colour)
    assert page.is_hidden("#search")
    assert page.is_visible("#shown")  # who prints what was chosen is told so
    assert page.is_hidden("nav")
    assert "rgb(255, 255, 255)" == opened(color_scheme="light").evaluate(colour)
