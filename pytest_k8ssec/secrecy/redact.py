"""The last line of defence: whatever leaves this process as text goes through here first.

Nothing that is recorded should hold a secret in the first place. Values that must not be shown are registered the moment
they come into this process; on top of that, anything that looks like a JWT or a private key is cut out. Reprs, diffs
and tracebacks cut values into pieces. So any eight consecutive characters of a value are cut out, in each form that it
can take.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

_PATTERNS = {
    "eyJ": r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}(\.[\w-]+)?",
    "-----BEGIN ": r"(?s:-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z))",
}
"""What looks like a secret, by what it begins with: only where that stands in a text is the rest looked at, or compiled."""
SHORTEST = 6
"""Shorter values would cut holes into innocent words."""
PIECE = 8
"""Fewer consecutive characters than this reveal too little to be hidden."""
_BLOCK = 4
_STRIDE = PIECE - _BLOCK + 1
"""Any piece has a block that begins at a multiple of this: only there does a text have to be looked at."""
MARK = "[redacted]"
_REMEMBERED = 10_000_000
"""Letters of texts whose answers are kept: a report says most things many times, and is redacted again on each way out."""
_LONG = 2_000
"""Longer texts are redacted anew each time."""
_COLOUR_BEGINS = "\x1b["
_COLOUR = r"(\x1b\[[0-9;]*m)"

Span = tuple[int, int]
"""Beginning and end."""


class Redactor:
    """Takes values out of texts.

    Args:
        values: what to hide from the start.
        whole: hide only whole values, for texts that must go on working where they merely resemble a secret.
    """

    def __init__(self, values: Iterable[str] = (), *, whole: bool = False) -> None:
        self._only_whole = whole
        self._values: set[str] = set()
        self._wholes: set[str] = set()
        self._around: set[str] = set()
        """Those of which a piece is hidden by itself: where none of all pieces stands, none of them does."""
        self._pieces: set[str] = set()
        self._blocks: set[str] = set()
        self._told: dict[str, str] = {}
        self._letters = 0
        for value in values:
            self.add(value)

    def add(self, value: str) -> str:
        """Hide a value from now on, in each of its forms, and return it; a value that is too short is not hidden."""
        if len(value) >= SHORTEST and value not in self._values:
            self._add(value)
            # Another one: who is asked at this moment, and does not know the value, writes into the old one. And before anybody
            # else is told that the value is known.
            self._told, self._letters = {}, 0
            self._values.add(value)
        return value

    def with_values(self, values: Iterable[str]) -> Redactor:
        """A redactor that also hides further values."""
        further = Redactor(whole=self._only_whole)
        # Taken over, not found out anew: a run may know thousands of tokens.
        further._values = set(self._values)
        further._wholes = set(self._wholes)
        further._around = set(self._around)
        further._pieces = set(self._pieces)
        further._blocks = set(self._blocks)
        for value in values:
            further.add(value)
        return further

    def __call__(self, text: str) -> str:
        """The text without any of the values, JWTs and private keys."""
        if len(text) < SHORTEST:
            return text
        if len(text) > _LONG:
            return self._cut_out(text)
        told = self._told
        if (known := told.get(text)) is None:
            if self._letters >= _REMEMBERED:
                told.clear()
                self._letters = 0
            self._letters += len(text)
            known = told[text] = self._cut_out(text)
        return known

    def _cut_out(self, text: str) -> str:
        if _COLOUR_BEGINS in text:
            text = self._beneath_colours(text)
        return _without(text, 0, self._spans(text))

    def _beneath_colours(self, text: str) -> str:
        """The same for what a reader sees: a highlighter's colours change in the middle of a value."""
        spans = self._spans(re.sub(_COLOUR, "", text))
        if not spans:
            return text
        kept, seen = [], 0
        for number, part in enumerate(re.split(_COLOUR, text)):
            if number % 2:
                kept.append(part)
            else:
                kept.append(_without(part, seen, spans))
                seen += len(part)
        return "".join(kept)

    def _spans(self, text: str) -> list[Span]:
        """Where something is to be hidden."""
        # All are looked for in the whole text: what one of them leaves of another would no longer be known.
        pieces = [*self._pieces_in(text)]
        wholes = [*_whole_in(text, self._wholes), *(_whole_in(text, self._around) if pieces else ())]
        return list(_joined((*wholes, *_patterned(text), *pieces)))

    def _add(self, value: str) -> None:
        from pytest_k8ssec.secrecy import forms, public  # most pytest runs have no secret

        signature = "" if self._only_whole else public.signature_of(value)
        value = signature or value
        # A token is soon worth nothing, and there are many: they are not looked for within what was encoded twice.
        hidden = forms.written(value) | forms.encoded(value, twice=not signature)
        # A line, or a field, may be a word that others use too.
        known = {part for part in forms.parts(value) if len(part) >= SHORTEST and not public.is_public(part)}
        for part in known:
            hidden |= forms.written(part) | forms.encoded(part)
        hidden = {form for form in hidden if len(form) >= SHORTEST}
        if self._only_whole:
            self._wholes |= hidden
            return
        harmless: set[str] = set()
        for part in public.public_parts(value):
            harmless.update(*map(_cut, forms.written(part) | forms.encoded(part)))
        pieces = {piece for form in hidden for piece in _cut(form)} - harmless
        if not (signature or public.is_random(value)):
            pieces = {piece for piece in pieces if not public.is_public(piece)}
        self._blocks.update(piece[at : at + _BLOCK] for piece in pieces for at in range(_STRIDE))
        self._pieces |= pieces
        # Where each piece of a form is hidden, so is all of it.
        wholes = {form for form in hidden if len(form) < PIECE or not pieces.issuperset(_cut(form))}
        around = {form for form in wholes if not pieces.isdisjoint(_cut(form))}
        self._around |= around
        self._wholes |= wholes - around

    def _pieces_in(self, text: str) -> Iterator[Span]:
        """Where pieces of values stand."""
        blocks, pieces, last = self._blocks, self._pieces, len(text) - PIECE
        if not blocks:
            return
        for at in [at for at in range(0, len(text) - _BLOCK + 1, _STRIDE) if text[at : at + _BLOCK] in blocks]:
            for start in range(max(at - _STRIDE + 1, 0), min(at, last) + 1):
                if text[start : start + PIECE] in pieces:
                    yield start, start + PIECE


_known = Redactor()
"""What this process must not show."""


def register(value: str) -> str:
    """Register a value that must never be shown in any form, and return it."""
    return _known.add(value)


def redact(text: str) -> str:
    """The text without any registered value, JWT or private key."""
    return _known(text)


def redactor(*values: str) -> Redactor:
    """A redactor for the registered values and some more; only this redactor hides those."""
    return _known.with_values(values)


def redacted(value: Any) -> Any:
    """A JSON-compatible value with every text in it, keys too, redacted; what JSON does not know becomes text."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, dict):
        return {redact(str(key)): redacted(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redacted(item) for item in value]
    return redact(str(value))


def _whole_in(text: str, wholes: Iterable[str]) -> Iterator[Span]:
    """Where whole values stand."""
    for secret in tuple(wholes):  # another thread may add to them
        at = text.find(secret)
        while at >= 0:
            yield at, at + len(secret)
            at = text.find(secret, at + 1)


def _cut(form: str) -> Iterator[str]:
    return (form[at : at + PIECE] for at in range(len(form) - PIECE + 1))


def _patterned(text: str) -> Iterator[Span]:
    """Where something looks like a JWT or a private key."""
    for beginning, pattern in _PATTERNS.items():
        if beginning in text:
            yield from (found.span() for found in re.finditer(pattern, text))


def _without(part: str, at: int, spans: Iterable[Span]) -> str:
    """A part of a text without what is to be hidden; what reaches into it from before is marked there already.

    Args:
        at: where in the text the part begins.
    """
    kept, done = [], 0
    for start, end in spans:
        if end > at and start < at + len(part):
            kept += [part[done : max(start - at, done)], MARK if start >= at else ""]
            done = min(end - at, len(part))
    return "".join((*kept, part[done:])) if kept else part


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    """Spans in order, those that touch made one."""
    begun: Span | None = None
    for start, end in sorted(spans):
        if begun is None or start > begun[1]:
            if begun is not None:
                yield begun
            begun = start, end
        elif end > begun[1]:
            begun = begun[0], end
    if begun is not None:
        yield begun
