"""Every form that a secret can take in a text: one list, both for cutting secrets out and for finding them."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
from collections.abc import Iterator
from urllib.parse import quote, quote_plus, unquote, urlsplit

from pytest_k8ssec.plain import line, shown

_GO = str.maketrans({"&": r"\u0026", "<": r"\u003c", ">": r"\u003e"})
_URL_SAFE = ("", "/", "$&+,/:;=@", "!'()*~", ";,/?:@&=+$-_.!~*'()#")
"""What Python, Go and JavaScript leave as it is."""
_SHELL = re.compile(r"([^\w@%+=:,./-])")
_IN_QUOTES = re.compile(r"([\"\\$`])")
_CONTROL = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\\": r"\\", '"': r"\""}
_PUBLIC_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]*(?:CERTIFICATE|PUBLIC KEY)[A-Z ]*-----.*?(?:-----END [^\n]*|\Z)", re.DOTALL
)
_LINE = re.compile(r"(?=\S*[a-z])(?=\S*[A-Z])(?=\S*\d)(?!b3BlbnNzaC1rZXktdjE)[\w+-][\w+/-]{15,}={0,2}")
"""A line of a key, in base64: long and mixed enough to be nothing else. OpenSSH's keys begin all alike."""
_CONNECTION = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/@:]*:[^\s/@]*@[^\s]*")
_SECRET_FIELD = re.compile(r"pass|secret|token|key|credential|auth", re.IGNORECASE)
LONG = 20_000
"""Characters. A longer value is not looked for in every way of quoting: its pieces and lines are enough."""


def written(value: str) -> set[str]:
    """A value as texts may write it: as it is, stripped, and as Python, JSON, Go, URLs, HTML, YAML and shells quote it."""
    found: set[str] = set()
    for text in {value, value.strip(), value.rstrip("\r\n")} - {""}:
        found.add(text)
        if len(text) <= LONG:
            once = set(_quoted(text))
            # A document within a document: what is quoted is quoted once more.
            twice = {form for inner in once if "\\" in inner or '"' in inner for form in _escaped(inner)}
            found |= once | twice
    return found


def encoded(value: str, *, twice: bool = True) -> set[str]:
    """A value in hex, and in base64 of either alphabet, alone or within something longer.

    Args:
        twice: also in base64 of its base64, where it is not too long.
    """
    found: set[str] = set()
    for text in {value, value.strip(), *_escaped(value)} - {""} if len(value) <= LONG else {value}:
        raw = text.encode(errors="surrogateescape")
        found |= {raw.hex(), raw.hex().upper(), *_shifted(raw)}
        if twice and len(value) <= LONG:
            found.update(_shifted(base64.b64encode(raw)))
    return found


def parts(value: str) -> set[str]:
    """What stands alone where a secret is taken apart: its lines, a URL's password, a document's secret fields."""
    lines = {line.strip() for line in value.splitlines()} if "\n" in value.strip() else set()
    found = lines | {part for url in _CONNECTION.findall(value) for part in _password(url)}
    return {part for part in found | set(_fields(value)) if part and part != value}


def key_lines(value: str) -> set[str]:
    """The lines of a key of several lines that stand in no other key."""
    lines = [line.strip() for line in _PUBLIC_BLOCK.sub("", value).splitlines()]
    return {line for line in lines if len(lines) > 1 and _LINE.fullmatch(line)}


def _quoted(text: str) -> Iterator[str]:
    """All ways of quoting."""
    yield from _escaped(text)
    yield from (shown(text), line(text))
    plain = json.dumps(text, ensure_ascii=False)[1:-1]
    yield plain.replace("/", r"\/")
    for safe in _URL_SAFE:
        yield (address := quote(text, safe=safe, errors="surrogateescape"))
        yield re.sub("%..", lambda found: found[0].lower(), address)
    yield quote_plus(text, errors="surrogateescape")
    for markup in (html.escape(text, quote=False), html.escape(text)):
        yield from (markup, markup.replace("&#x27;", "&#39;").replace("&quot;", "&#34;"))
        yield markup.replace("&#x27;", "'").replace("\n", "&#10;").replace("\r", "&#13;").replace("\t", "&#09;")
        yield markup.replace("&#x27;", "'")
        yield markup.replace("&#x27;", "&apos;")
    yield text.replace("'", "''")
    yield text.replace('"', '""')
    yield "".join(map(_in_yaml, text))
    yield text.replace("'", r"'\''")
    yield shlex.quote(text).removeprefix("'").removesuffix("'")
    yield _SHELL.sub(r"\\\1", text)
    yield _IN_QUOTES.sub(r"\\\1", text)


def _escaped(text: str) -> Iterator[str]:
    """Python's and JSON's ways, which are also those in which one document holds another."""
    # Whether a quote is escaped depends on the quotes beside it: with '"' before it, Python escapes each "'".
    raw = text.encode(errors="surrogateescape")
    for literal in (repr(f'"{text}')[2:-1], ascii(f'"{text}')[2:-1], repr(b'"' + raw)[3:-1]):
        yield from (literal, literal.replace(r"\'", "'"), literal.replace(r"\'", "'").replace('"', r"\""))
    for ensure_ascii in (False, True):
        document = json.dumps(text, ensure_ascii=ensure_ascii)[1:-1]
        yield from (document, document.translate(_GO))


def _in_yaml(character: str) -> str:
    """Within double quotes, as YAML writes it."""
    number = ord(character)
    if character in _CONTROL or 0x20 <= number < 0x7F:
        return _CONTROL.get(character, character)
    return f"\\x{number:02X}" if number < 0x100 else f"\\u{number:04X}" if number < 0x10000 else f"\\U{number:08X}"


def _shifted(raw: bytes) -> Iterator[str]:
    """Base64 of it, wherever in something longer it begins, without the characters that depend on what stands beside it."""
    for before in range(3):
        # Three bytes become four characters.
        start, end = (before * 8 + 5) // 6, (before + len(raw)) * 8 // 6
        for text in (base64.b64encode(bytes(before) + raw), base64.urlsafe_b64encode(bytes(before) + raw)):
            yield text.decode()[start:end]


def _password(url: str) -> Iterator[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return  # no URL after all
    if password:
        yield from (password, unquote(password))


def _fields(value: str) -> Iterator[str]:
    """The texts of a JSON document whose names say that they are secret."""
    if not value.lstrip().startswith(("{", "[")):
        return
    try:
        document = json.loads(value)
    except ValueError:
        return
    yield from _leaves(document, secret=False)


def _leaves(value: object, *, secret: bool) -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _leaves(one, secret=secret or bool(_SECRET_FIELD.search(str(name))))
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one, secret=secret)
    elif isinstance(value, str) and secret:
        yield value
