"""Takes known secret values out of any text that may be shown."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable


def hider(values: Iterable[str]) -> Callable[[str], str]:
    """A function that replaces these values, also where they are in base64 or escaped as JSON, by ``[secret]``."""
    forms: set[str] = set()
    for value in values:
        forms |= {value, value.strip(), json.dumps(value)[1:-1], base64.b64encode(value.encode()).decode()}
    forms.discard("")
    longest_first = sorted(forms, key=len, reverse=True)

    def hide(text: str) -> str:
        for form in longest_first:
            text = text.replace(form, "[secret]")
        return text

    return hide
