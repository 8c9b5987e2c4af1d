"""How places are named in questions and in intent files."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from pytest_k8ssec.errors import SettingsError


def matches(pattern: str, name: str) -> bool:
    """Whether a name is meant: ``web/storefront``; ``web`` or ``web/*``, all of it; ``node/*-worker``; ``*``."""
    whole = pattern if "/" in pattern or pattern == "*" else f"{pattern}/*"
    return name == pattern or fnmatchcase(name, whole)


def matching(pattern: str, names: Iterable[str], what: str) -> set[str]:
    """All names that are meant. Raises SettingsError if there is none: an answer about nothing would always be true."""
    known = list(names)
    found = {name for name in known if matches(pattern, name)}
    if not found:
        raise unknown(pattern, known, what)
    return found


def unknown(pattern: str, known: Sequence[str], what: str, where: str = "") -> SettingsError:
    """The error that nothing has that name; its fix lists the names that exist."""
    spaces = dict.fromkeys(name.partition("/")[0] for name in known)
    close = difflib.get_close_matches(pattern, dict.fromkeys([*known, *spaces]), n=2)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(sorted(known))}"
    return SettingsError(f"{where}{what} {pattern!r}: nothing has that name", fix=hint)
