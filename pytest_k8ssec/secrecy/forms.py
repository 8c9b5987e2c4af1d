"""Takes known secret values out of any text that may be shown."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote

_SHORTEST = 8
"""What is made of a value, and is shorter, stands in innocent words as well."""
_GO = str.maketrans({"&": r"\u0026", "<": r"\u003c", ">": r"\u003e"})
_PUBLIC = re.compile(r"-----BEGIN (?![A-Z ]*PRIVATE KEY).*?-----END [^\n]*", re.DOTALL)
_LINE = re.compile(r"(?=\S*[a-z])(?=\S*[A-Z])(?=\S*\d)(?!b3BlbnNzaC1rZXktdjE)[\w+-][\w+/-]{15,}={0,2}")
"""A line of a key, in base64: long and mixed enough to be nothing else. OpenSSH's keys begin all alike."""


def forms(value: str) -> set[str]:
    """A value as it is, as JSON, a URL and hex write it, without a newline at its end, and the lines of a longer key."""
    text = json.dumps(value, ensure_ascii=False)[1:-1]
    made = {text, text.translate(_GO), json.dumps(value)[1:-1], quote(value, safe=""), value.rstrip("\r\n")}
    made |= {value.encode().hex(), value.encode().hex().upper(), *_lines(value)}
    return {value, json.dumps(value)[1:-1]} | {form for form in made if len(form) >= _SHORTEST}


def _lines(value: str) -> Iterator[str]:
    lines = [line.strip() for line in _PUBLIC.sub("", value).splitlines()]
    return (line for line in lines if len(lines) > 1 and _LINE.fullmatch(line))


def hider(values: Iterable[str]) -> Callable[[str], str]:
    """A function that replaces these values, also where they are in base64 or escaped, by ``[secret]``."""
    hidden: set[str] = set()
    for value in values:
        hidden |= {*forms(value), value.strip(), base64.b64encode(value.encode()).decode()}
    hidden.discard("")
    longest_first = sorted(hidden, key=len, reverse=True)

    def hide(text: str) -> str:
        for form in longest_first:
            text = text.replace(form, "[secret]")
        return text

    return hide
