"""The documentation, taken apart: pages, links, anchors, code blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=indent)(?P=ticks) *$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_INLINE = re.compile(r"`+[^`]*`+")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}-{self.number}-{self.language}"


def pages() -> list[str]:
    """Paths of all pages, from the repository."""
    found = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob(".github/**/*.md")]
    found.append(REPOSITORY / "toolchain" / "README.md")
    return sorted(path.relative_to(REPOSITORY).as_posix() for path in found)


def read(page: str) -> str:
    """A page's text."""
    return (REPOSITORY / page).read_text(encoding="utf-8")


def blocks(text: str, page: str = "") -> list[Block]:
    """The fenced blocks of a text; what stands within a block is no block of its own."""
    found = _FENCE.finditer(text)
    return [Block(page, number, each["language"].strip(), each["text"]) for number, each in enumerate(found)]


def prose(text: str) -> str:
    """A text without its fenced blocks and comments."""
    return _COMMENT.sub("", _FENCE.sub("", text))


def links(text: str) -> Iterator[str]:
    """What a text leads to; neither fenced blocks nor code in a line lead anywhere."""
    return (match[1] for match in _LINK.finditer(_INLINE.sub("``", prose(text))))


def anchors(text: str) -> set[str]:
    """The names of a text's headings, as forges and the site make them."""
    found: set[str] = set()
    for heading in _HEADING.findall(prose(text)):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        name = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        number = next(n for n in range(1000) if (f"{name}-{n}" if n else name) not in found)
        found.add(f"{name}-{number}" if number else name)
    return found


def broken(page: str, text: str) -> Iterator[str]:
    """Links of a page within the repository that lead to nothing."""
    for link in links(text):
        if re.match(r"[a-z][a-z+.-]*:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (REPOSITORY / page).parent / path if path else REPOSITORY / page
        inside = target.resolve().is_relative_to(REPOSITORY)
        if not inside or not target.exists():
            yield f"{link}: there is no such file"
        elif anchor and anchor not in anchors(text if not path else target.read_text(encoding="utf-8")):
            yield f"{link}: there is no such heading"
