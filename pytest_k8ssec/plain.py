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


def progress_line(seconds: float, text: str) -> str:
    """A line of progress. Further lines, as an error has, are indented: none can pass for a line of its own."""
    mark = f"k8ssec {seconds:5.0f}s  "
    return mark + shown(text).replace("\n", "\n" + " " * len(mark))


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
