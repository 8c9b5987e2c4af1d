"""Redacts text streams: no registered secret leaves in what is written past all reports."""

from __future__ import annotations

from typing import Any

from pytest_k8ssec.secrecy.redact import redact

_MARK = "k8ssec_redacts"


def draw_curtain(*streams: Any) -> None:
    """Have each text that is written to these streams redacted from now on, for as long as they exist.

    A stream stays the object that it is, so that whoever has taken hold of it is covered, and whoever looks at its type
    or its file descriptor sees what was there. It is not undone: pytest prints its last errors after all else has
    ended.
    """
    for stream in streams:
        if stream is not None and hasattr(stream, "__dict__") and not hasattr(stream, _MARK):
            vars(stream).update({"write": _redacting(stream.write), _MARK: True})


def _redacting(write: Any) -> Any:
    def redacting(text: Any) -> int:
        if not isinstance(text, str):
            return int(write(text))  # which raises what it always raised
        write(redact(text))
        return len(text)  # who counts expects what was handed over

    return redacting
