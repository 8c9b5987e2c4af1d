"""The last line of defence: whatever leaves this process as text goes through here first.

Nothing that is recorded should hold a secret in the first place. Values that must not be shown are registered the moment
they come into this process; on top of that, anything that looks like a JWT or a private key is cut out.
"""

from __future__ import annotations

import base64
import re
from typing import Any

_PATTERNS = (
    re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
)
_SHORTEST = 6
"""Shorter values would cut holes into innocent words."""
MARK = "[redacted]"

_secrets: set[str] = set()


def register(value: str) -> str:
    """Note a value that must never be shown, as it is and in base64, and give it back."""
    if len(value) >= _SHORTEST:
        _secrets.update((value, base64.b64encode(value.encode()).decode()))
    return value


def redact(text: str) -> str:
    """The text without any registered value, JWT or private key."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, MARK)
    for pattern in _PATTERNS:
        text = pattern.sub(MARK, text)
    return text


def redacted(value: Any) -> Any:
    """A JSON-compatible value with every text in it, keys too, redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(str(key)): redacted(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(item) for item in value]
    return value
