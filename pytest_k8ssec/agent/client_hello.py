"""Builds TLS ClientHellos by hand, as modern TLS libraries refuse to offer the weak versions that we must try.

Only the first record of the answer counts: a ServerHello accepts the offer, an alert refuses it. So no handshake is
completed, and no key is needed. The layout is that of RFC 5246 and RFC 8446, sections 4.1.2 and 4.2.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = 0x0301, 0x0302, 0x0303, 0x0304

_EPHEMERAL = (0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8)
"""ECDHE with AES-GCM or ChaCha20, for keys of both sorts."""
_EPHEMERAL_OLD = (0xC009, 0xC013, 0xC00A, 0xC014)
"""ECDHE with AES-CBC: what versions before 1.2 have."""
_RSA = (0x009C, 0x009D, 0x003C, 0x002F, 0x0035, 0x000A)
"""RSA key exchange, with AES and 3DES."""
_FOR_1_3 = (0x1301, 0x1302, 0x1303)

_RENEGOTIATION, _GROUPS, _POINTS, _SIGNATURES = 0xFF01, 0x000A, 0x000B, 0x000D
_VERSIONS, _KEY_SHARE = 0x002B, 0x0033
_X25519, _P256 = 0x001D, 0x0017


@dataclass(frozen=True, slots=True)
class Offer:
    """What a client says that it speaks."""

    name: str
    version: int
    """The highest, and before 1.3 the only, version."""
    suites: tuple[int, ...]

    def message(self) -> bytes:
        """A fresh ClientHello, in its record."""
        body = (
            _number(min(self.version, TLS_1_2))
            + secrets.token_bytes(32)
            + _counted(secrets.token_bytes(32), 1)
            + _counted(_numbers(self.suites), 2)
            + _counted(b"\0", 1)  # no compression
            + _counted(self._extensions(), 2)
        )
        return b"\x16" + _number(TLS_1_0) + _counted(b"\x01" + _counted(body, 3), 2)

    def _extensions(self) -> bytes:
        found = (
            _extension(_RENEGOTIATION, b"\0")
            + _extension(_GROUPS, _counted(_numbers((_X25519, _P256)), 2))
            + _extension(_POINTS, _counted(b"\0", 1))
        )
        if self.version >= TLS_1_2:
            found += _extension(_SIGNATURES, _counted(_numbers((0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501)), 2))
        if self.version >= TLS_1_3:
            share = _number(_X25519) + _counted(secrets.token_bytes(32), 2)  # any 32 bytes are a public key
            found += _extension(_VERSIONS, _counted(_numbers((TLS_1_3, TLS_1_2)), 1))
            found += _extension(_KEY_SHARE, _counted(share, 2))
        return found


CURRENT = Offer("TLS 1.3 and 1.2", TLS_1_3, _FOR_1_3 + _EPHEMERAL)
WEAK = (
    Offer("TLS 1.0 only", TLS_1_0, _EPHEMERAL_OLD + _RSA),
    Offer("TLS 1.1 only", TLS_1_1, _EPHEMERAL_OLD + _RSA),
    Offer("RSA key exchange only (TLS 1.2)", TLS_1_2, _RSA),
)
"""Offers that no server should accept."""


def _number(value: int, size: int = 2) -> bytes:
    return value.to_bytes(size, "big")


def _numbers(values: Sequence[int]) -> bytes:
    return b"".join(_number(value) for value in values)


def _counted(content: bytes, size: int) -> bytes:
    """The content behind its length."""
    return _number(len(content), size) + content


def _extension(kind: int, content: bytes) -> bytes:
    return _number(kind) + _counted(content, 2)
