"""The last line of defence: whatever leaves this process as text goes through here first.

Nothing that is recorded should hold a secret in the first place. Values that must not be shown are registered the moment
they come into this process; on top of that, anything that looks like a JWT or a private key is cut out. A traceback
shortens long values, so of a registered token each longer piece is known too, not only the whole.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from pytest_k8ssec.plain import line, shown

_PATTERNS = (
    re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}(\.[\w-]+)?"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
)
_SHORTEST = 6
"""Shorter values would cut holes into innocent words."""
_TOKEN = re.compile(r"(?=[^\s]*\d)(?=[^\s]*[A-Za-z])[\w+/=-]{32,}")
"""Long enough, and with letters and digits: no piece of it is part of an innocent word."""
_PIECE = 16
MARK = "[redacted]"

Span = tuple[int, int]
"""Beginning and end."""

_secrets: set[str] = set()
_pieces: set[str] = set()


def register(value: str) -> str:
    """Note a value that must never be shown, as it is, quoted and in base64, and give it back."""
    if len(value) >= _SHORTEST:
        for form in set(_forms(value)):
            if not _TOKEN.fullmatch(form):  # its pieces are all of it
                _secrets.add(form)
            for token in _TOKEN.findall(form):
                _pieces.update(token[start : start + _PIECE] for start in range(len(token) - _PIECE + 1))
    return value


def redact(text: str) -> str:
    """The text without any registered value, JWT or private key."""
    # All are looked for in the whole text: what one of them leaves of another would no longer be known.
    kept, done = [], 0
    for start, end in sorted((*_whole(text), *_patterned(text), *_pieces_in(text))):
        if start >= done:
            kept += [text[done:start], MARK]
        done = max(done, end)
    return "".join((*kept, text[done:]))


def redacted(value: Any) -> Any:
    """A JSON-compatible value with every text in it, keys too, redacted; what JSON does not know becomes text."""
    # A report says most things many times: of 600,000 texts in that of a matrix 18,000 differ.
    return _redacted(value, cache(redact))


def _redacted(value: Any, cut: Callable[[str], str]) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, dict):
        return {cut(str(key)): _redacted(item, cut) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_redacted(item, cut) for item in value]
    return cut(str(value))


def _forms(value: str) -> Iterator[str]:
    """The value as text, traceback, JSON and we show it, and in base64, alone or within something longer."""
    yield value
    yield repr(value)[1:-1]
    yield json.dumps(value)[1:-1]
    yield from (shown(value), line(value))
    raw = value.encode(errors="surrogateescape")
    for before in range(3):
        # Base64 turns three bytes to four characters: those at the edges depend on what stands beside the value.
        start, end = (before * 8 + 5) // 6, (before + len(raw)) * 8 // 6
        for encoded in (base64.b64encode(bytes(before) + raw), base64.urlsafe_b64encode(bytes(before) + raw)):
            yield encoded.decode()[start:end]


def _whole(text: str) -> Iterator[Span]:
    """Where registered values stand."""
    for secret in _secrets:
        at = text.find(secret)
        while at >= 0:
            yield at, at + len(secret)
            at = text.find(secret, at + 1)


def _patterned(text: str) -> Iterator[Span]:
    """Where something looks like a JWT or a private key."""
    return (found.span() for pattern in _PATTERNS for found in pattern.finditer(text))


def _pieces_in(text: str) -> Iterator[Span]:
    """Where longer pieces of registered tokens stand."""
    at = 0
    while _pieces and at <= len(text) - _PIECE:
        start = at
        while text[at : at + _PIECE] in _pieces:
            at += 1
        if at > start:
            at += _PIECE - 1
            yield start, at
        else:
            at += 1
