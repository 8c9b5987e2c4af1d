"""The site: links out of docs/ lead to pages that show those files, and nothing is loaded from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.mkdocs_hooks import loaded_from_elsewhere, outward, relinked, source_page
from tests.pages import REPOSITORY


def test_links_out_of_the_documentation_are_found() -> None:
    """Files and directories that are there; not those of the documentation, of the web, or within a block of code."""
    text = "[a](../CONTRIBUTING.md#x) [b](../stacks/plain) [c](glossary.md) [d](https://x.org/y) [e](../nowhere.md)\n"
    text += "```md\n[f](../LICENSE)\n```\n"
    assert ["CONTRIBUTING.md", "stacks/plain"] == list(outward(text, "docs/README.md"))


@pytest.mark.parametrize(
    ("link", "origin", "here", "expected"),
    [
        ("../CONTRIBUTING.md#x", "docs/README.md", "README.md", "source/CONTRIBUTING.md#x"),
        ("../../stacks/plain", "docs/how-to/a.md", "how-to/a.md", "../source/stacks/plain.md"),
        ("../glossary.md", "docs/how-to/a.md", "how-to/a.md", "../glossary.md"),
        ("docs/glossary.md", "CONTRIBUTING.md", "source/CONTRIBUTING.md", "../glossary.md"),
        ("PHILOSOPHY.md", "CONTRIBUTING.md", "source/CONTRIBUTING.md", "PHILOSOPHY.md"),
        ("https://x.org/y", "docs/README.md", "README.md", "https://x.org/y"),
        ("#here", "docs/README.md", "README.md", "#here"),
    ],
)
def test_links_lead_to_the_same_on_the_site(link: str, origin: str, here: str, expected: str) -> None:
    """From the page's place there."""
    assert f"[a]({expected})" == relinked(f"[a]({link})", origin, here)


def test_code_is_no_link() -> None:
    """What stands in a block stays as it is."""
    text = "```md\n[f](../LICENSE)\n```\n"
    assert text == relinked(text, "docs/README.md", "README.md")


def test_a_file_is_shown() -> None:
    """Source as source, pages as pages, directories as lists."""
    assert "``````yaml\n# The cluster that most people get" in source_page(
        REPOSITORY / "stacks" / "plain" / "kind.yaml"
    )
    assert "- `Pulumi.yaml`" in source_page(REPOSITORY / "stacks" / "plain")
    assert source_page(REPOSITORY / "PHILOSOPHY.md").startswith("# What belongs here")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.html", '<script async src="https://cdn.example/x.js">', "https://cdn.example/x.js"),
        ("a.html", "<link href=//fonts.example/css rel=stylesheet>", "//fonts.example/css"),
        ("a.html", '<link rel="preconnect" href="https://fonts.example">', "https://fonts.example"),
        ("a.html", '<img alt="x" src="http://x.example/a.png">', "http://x.example/a.png"),
        ("a.css", "@font-face{src:url(https://fonts.example/a.woff2)}", "https://fonts.example/a.woff2"),
        ("a.css", '@import "https://fonts.example/a.css";', "https://fonts.example/a.css"),
        ("a.html", '<a href="https://x.example">x</a><link rel="canonical" href="https://x.example/">', ""),
        ("a.html", '<script src="assets/x.js"></script><link rel="stylesheet" href="assets/x.css">', ""),
        ("a.css", "url(data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'>)", ""),
    ],
)
def test_what_is_loaded_from_elsewhere_is_noticed(tmp_path: Path, name: str, text: str, expected: str) -> None:
    """Links that a reader may follow are not."""
    (tmp_path / name).write_text(text)
    assert ([f"{name}: {expected}"] if expected else []) == list(loaded_from_elsewhere(tmp_path))
