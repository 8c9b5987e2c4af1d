"""Finds known secret values in any document: as they are, escaped, in base64, twice in base64, compressed.

Helm keeps its releases as base64 of gzip, in a Secret whose values are base64 once more, so packed data is unpacked
that deep. What is found is reported by place and form, never by value.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pytest_k8ssec.secrecy import forms
from pytest_k8ssec.secrecy.redact import Redactor

SAMPLE = "a sample of our own"
"""Key under which a search that proves itself puts the values beside the document that it searches."""
_SHORTEST = 8
"""What is made of a value, and is shorter, stands in innocent words as well."""
_DEPTH = 4
"""How many times a text is unpacked."""
_UNPACKED = 4 * 1024 * 1024
"""No more than this comes out of one compressed piece."""
_BASE64 = re.compile(rb"[\w+/-]{12,}")
_STANDARD = bytes.maketrans(b"-_", b"+/")
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret that was found."""

    secret: str
    """Its name."""
    place: str
    """Path of the field: ``spec.containers[0].env[1].value``."""
    form: str
    """``in plain``, ``in base64``, ``in gzip in base64 in base64``."""


def leaks(document: Any, secrets: Mapping[str, str]) -> Iterator[Leak]:
    """Every place of a JSON-compatible document, keys among them, that holds one of the values.

    Args:
        secrets: values by name.
    """
    needles = {name: _needles(value) for name, value in secrets.items()}
    for place, text in _texts(document, ""):
        told = set()
        for form, data in _layers(text, _DEPTH):
            for name, found in needles.items():
                if name not in told and any(each in data for each in found):
                    told.add(name)
                    yield Leak(name, _hider(tuple(secrets.values()))(place), form or "in plain")


# Both are asked again for each document of a cluster.
@lru_cache(maxsize=64)
def _needles(value: str) -> frozenset[bytes]:
    """What to look for; what is in base64 is unpacked first."""
    raw = value.encode(errors="surrogateescape")
    made = {*forms.written(value), *forms.key_lines(value), raw.hex(), raw.hex().upper()}
    return frozenset((raw, *(form.encode(errors="surrogateescape") for form in made if len(form) >= _SHORTEST)))


@lru_cache(maxsize=8)
def _hider(values: tuple[str, ...]) -> Redactor:
    return Redactor(values)


def _texts(value: Any, place: str) -> Iterator[tuple[str, bytes]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            below = f"{place}.{key}" if place else str(key)
            yield f"{below} (its name)", str(key).encode()
            yield from _texts(item, below)
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _texts(item, f"{place}[{number}]")
    elif value is not None:
        yield place, str(value).encode(errors="surrogateescape")


def _layers(data: bytes, depth: int) -> Iterator[tuple[str, bytes]]:
    """The data, and whatever is packed in it, each with the way that it is packed."""
    yield "", data
    if not depth:
        return
    for form, inner in _unpacked(data):
        for deeper, found in _layers(inner, depth - 1):
            yield f"{deeper} {form}".strip(), found


def _unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    start = data.find(_GZIP)
    if start >= 0:
        try:
            yield "in gzip", zlib.decompressobj(wbits=31).decompress(data[start:], _UNPACKED)
        except zlib.error:
            return  # two bytes that only look like it
    for run in _BASE64.findall(data):
        # Four characters are three bytes; what stands before it in the same run may have shifted it.
        for shift in range(4):
            yield "in base64", _decoded(run[shift:])


def _decoded(run: bytes) -> bytes:
    """Base64 of either alphabet, without what is left over at the end."""
    whole = run if len(run) % 4 != 1 else run[:-1]
    return base64.b64decode(whole.translate(_STANDARD) + b"=" * (-len(whole) % 4))
