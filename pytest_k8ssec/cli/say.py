"""The one way in which commands print: redacted, and safe to show. ``print`` is forbidden in the others by the linter."""

from __future__ import annotations

import sys

from pytest_k8ssec.plain import line, shown
from pytest_k8ssec.secrecy.redact import redact


def say(*lines: str) -> None:
    """Print lines to standard output, at once; whatever characters a name in them holds, each stays one line."""
    _print(*map(line, map(redact, lines)), error=False)


def say_text(text: str, *, error: bool = False) -> None:
    """Print a text of several lines; the names in it are safe already, or stand between quotes.

    Args:
        error: whether it goes to standard error, as everything does but a command's result.
    """
    _print(shown(redact(text)), error=error)


def _print(*lines: str, error: bool) -> None:
    print(*lines, sep="\n", file=sys.stderr if error else sys.stdout, flush=True)
