r"""Makes names and answers from others safe to show: in a terminal, on a page, in a file.

A name, an answer or a log may hold characters that move the cursor, hide or reorder letters, or begin a new line. Each
such character is replaced by its escape sequence: ``\\x1b``, ``\\u202e``. No other character changes, not even a
backslash, so that a text that was made safe stays as it is. Secrets are cut out before: see ``redaction``, which also
finds them in this escaped form.

The texts that leave pass through here: results as they become JSON (``results``), the text of errors (``errors``),
reports of pytest about tests of ours (``plugin``), the run's summary and progress (``summary``, ``session``), what
commands say (``cli/say``), and every file that is written (``reports/write_whole``).
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

_UNSAFE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1: escape sequences begin with one of these
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0"  # not seen, or turn the direction of what follows
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # zero width, separators, overrides, isolates
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # format characters and tags
    "\ud800-\udfff"  # half a character: of a file's name that is no text
)


_CUT = " ..."
"""After what was cut."""
_NARROW = 20
"""No line is made narrower: what is wrapped is indented, and has to stand somewhere."""


@cache
def _unsafe(beside: str = "") -> re.Pattern[str]:
    """Finds what is unsafe. It is compiled when something is first shown, as each pytest run imports this.

    Args:
        beside: what is unsafe as well.
    """
    return re.compile(f"[{beside}{_UNSAFE}]")


def shown(text: str) -> str:
    """A text of one or several lines, safe to show; the same object where it was safe."""
    return _unsafe().sub(_written, text) if _unsafe().search(text) else text


def line(text: str) -> str:
    """The same for what must stay one line, such as a name in a table: newlines are written out as well."""
    return _unsafe("\n").sub(_written, text) if _unsafe("\n").search(text) else text


def few(names: Sequence[str], most: int = 3) -> str:
    """The first of many names, and how many more there are: ``a, b, c and 497 more``."""
    more = len(names) - most
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:most])} and {more} more"


def progress_line(seconds: float, text: str, width: int = 0) -> str:
    """A line of progress. Further lines, as an error has, are indented: none can pass for a line of its own.

    Args:
        width: of the terminal, by which longer lines are wrapped; 0: they are not.
    """
    mark = f"k8ssec {seconds:5.0f}s  "
    lines = shown(text).split("\n")
    if width:
        lines = [part for each in lines for part in folded(each, width - len(mark))]
    return mark + ("\n" + " " * len(mark)).join(lines)


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: some letters take two, and marks on letters none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


def cut(text: str, width: int, end: str = "") -> str:
    """A text in one line of a width; where it is longer it ends in dots.

    Args:
        end: what the line ends with, which is never cut.
    """
    room = width - columns(end)
    if columns(text) <= room:
        return text + end
    while text and columns(text) > room - len(_CUT):
        text = text[:-1]
    return f"{text.rstrip()}{_CUT}{end}"


def folded(text: str, width: int, indent: str = "") -> list[str]:
    """A text in as many lines of a width as it needs; nothing of it is cut, not even a name that is longer than a line.

    Args:
        indent: before each line but the first; what the text itself begins with comes before it.
    """
    if columns(text) <= width:
        return [text]
    start = text[: len(text) - len(text.lstrip(" "))]
    # Letters that take two columns are rare in what is shown here: the width is halved for all of such a text.
    room = max(width if columns(text) == len(text) else width // 2, _NARROW)
    lines = textwrap.wrap(
        text.lstrip(" "), room, initial_indent=start, subsequent_indent=start + indent,
        break_on_hyphens=False, break_long_words=False,
    )  # fmt: skip
    # A name that is longer than a line, and only such a one, goes on in the next line.
    return [line[at : at + room] for line in lines for at in range(0, len(line), room)] or [text]


def lines_of(value: Any, *, texts: Collection[str] = ()) -> Any:
    """A JSON-compatible value with every text in it, keys too, made one safe line.

    Args:
        texts: keys of a mapping whose values may have several lines.
    """
    # A report says most things many times.
    return _all(value, cache(line), frozenset(texts))


def _all(value: Any, safe: Any, texts: frozenset[str]) -> Any:
    if isinstance(value, str):
        return safe(value)
    if isinstance(value, dict):
        return {
            safe(str(key)): shown(item) if key in texts and isinstance(item, str) else _all(item, safe, texts)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_all(item, safe, texts) for item in value]
    return value


def _written(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
