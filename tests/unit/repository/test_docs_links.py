"""Every link of the documentation leads to something, and every page is found from the first one."""

from __future__ import annotations

import posixpath

import pytest

from tests.pages import REPOSITORY, anchors, broken, links, pages, read

PAGES = pages()
EXCUSED = {"docs/README.md", ".github/PULL_REQUEST_TEMPLATE.md"}
"""Where one begins, and what the forge shows by itself."""


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_what_is_there(page: str) -> None:
    """Files and headings."""
    assert [] == list(broken(page, read(page)))


def test_every_page_is_found() -> None:
    """From the documentation's first page, by links alone."""
    found, left = set(EXCUSED), ["docs/README.md"]
    while left:
        page = left.pop()
        for link in links(read(page)):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(page), link.partition("#")[0]))
            if target in PAGES and target not in found:
                found.add(target)
                left.append(target)
    assert [] == sorted(set(PAGES) - found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](nowhere.md)", ["nowhere.md: there is no such file"]),
        ("[a](README.md#nowhere)", ["README.md#nowhere: there is no such heading"]),
        ("# One\n[a](#one) [b](#two)", ["#two: there is no such heading"]),
        ("[a](../outside.md)", ["../outside.md: there is no such file"]),
        ("![a](nowhere.svg)", ["nowhere.svg: there is no such file"]),
        ("[`a`](nowhere.md)", ["nowhere.md: there is no such file"]),
        ("`[a](nowhere.md)`", []),
        ("```text\n[a](nowhere.md)\n```", []),
        ("[a](https://example.com/nowhere.md) [b](docs/README.md#reference)", []),
    ],
)
def test_a_broken_link_is_noticed(text: str, expected: list[str]) -> None:
    """The check above can fail."""
    assert expected == list(broken("README.md", text))


def test_headings_are_named_as_forges_name_them() -> None:
    """Small letters, no punctuation, and a number where two are the same."""
    text = (
        "# The command `k8ssec`\n## `${random:N}`\n## [A](b.md), and b!\n## Same\n## Same\n```sh\n# no heading\n```\n"
    )
    assert {"the-command-k8ssec", "randomn", "a-and-b", "same", "same-1"} == anchors(text)


def test_the_site_knows_the_pages() -> None:
    """Each page but those of controls stands in its navigation."""
    text = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    below = {page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")}
    wanted = {page for page in below if not page.startswith("reference/controls/")} | {"reference/controls/README.md"}
    assert [] == sorted(page for page in wanted if f": {page}\n" not in text)
