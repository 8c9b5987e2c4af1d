"""The public parts of a secret: frames of keys, hosts of URLs, dates, and words that this package publishes.

Without this, a kubeconfig that is given as a secret would cut each ``apiVersion`` out of a report.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_PARTS = re.compile(
    r"""
    -----BEGIN\ [A-Z0-9 ]*(?:CERTIFICATE|PUBLIC\ KEY)[A-Z ]*-----.*?-----END\ [^\n]*  # a certificate is for everybody
    | -----(?:BEGIN|END)\ [A-Z0-9 ]+-----
    | b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAA[A-Za-z0-9+/]{10}[\r\n]*[A-Za-z0-9+/]?(?=[A-Za-z0-9+/])
    | [a-z][a-z0-9+.-]*://(?:[^\s/@:"']*@)?(?:\[[0-9a-f:]+\]|[\w.-]+)(?::\d+)?(?=[/?\s"']|$)  # up to the path
    | [a-z][a-z0-9+.-]*://(?=[^\s/@]*@)
    | (?<=@)[\w.-]+(?::\d+)?(?=[/?\s"'])
    | \b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)?\b
    """,
    re.DOTALL | re.VERBOSE,
)
_DOCUMENTS = """
apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority-data:
    insecure-skip-tls-verify: true
    server: https://
  name: default
contexts:
- context:
    cluster: default
    namespace: default
    user: default
current-context: kubernetes-admin@kubernetes
preferences: {}
users:
- name: kubernetes-admin
  user:
    client-certificate-data:
    client-key-data:
    token:
apiVersion: v1
clusters:
- context:
- name:
kind: Config
preferences: {}
{"type": "service_account", "project_id": "", "private_key_id": "", "private_key": "", "client_email": "",
"client_id": "", "auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri":
"https://oauth2.googleapis.com/token", "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
"client_x509_cert_url": "https://www.googleapis.com/robot/v1/metadata/x509/", "universe_domain": "googleapis.com"}
{"auths": {"https://index.docker.io/v1/": {"auth": "", "username": "", "password": "", "email": ""}}}
aws_access_key_id = aws_secret_access_key = aws_session_token = accessKeyId secretAccessKey sessionToken
{"username": "", "password": "", "hostname": "localhost", "database": "postgres", "description": "", "endpoint": ""}
"""
"""What the usual documents that hold credentials have in common."""
_TOKEN = re.compile(
    r"""
    (?=\D*\d)(?=.*[A-Za-z])(?!.*[a-z]{6})(?!.*[A-Z]{6})[\w+/=.-]{16,}
    | (?=\D*\d)[0-9a-f]{32,}
    """,
    re.ASCII | re.VERBOSE,
)
_JWT = re.compile(r"eyJ[\w-]+\.eyJ[\w-]+\.(?P<signature>[\w-]{40,})", re.ASCII)
_BLOCK = 4
"""Characters; as many as a machine word has bytes, see :func:`_published`."""
_SPAN = 2 * _BLOCK - 1


def public_parts(value: str) -> list[str]:
    """The parts of a secret that others may know."""
    return [found[0] for found in _PARTS.finditer(value)]


def signature_of(value: str) -> str:
    """The signature of a JWT, "" of any other secret: the rest of a JWT says whose it is, and opens nothing without it.

    Source: https://www.rfc-editor.org/rfc/rfc7515#section-3
    """
    found = _JWT.fullmatch(value)
    return found["signature"] if found else ""


def is_random(value: str) -> bool:
    """Whether a value is one long token without a word in it, so that no piece of it need be looked up."""
    return _TOKEN.fullmatch(value) is not None


def is_public(piece: str) -> bool:
    """Whether a piece of a secret reveals nothing: one character again and again, blanks, or words of our own text."""
    if len(set(piece)) == 1 or len("".join(piece.split()).replace(r"\n", "")) < 4:
        return True
    text, blocks = _published()
    # Hardly anything random gets past the first two.
    return _may_stand(piece[:_SPAN], blocks) and _may_stand(piece[-_SPAN:], blocks) and piece in text


@cache
def _published() -> tuple[str, frozenset[int]]:
    """What this package prints or explains anyway, and the blocks of characters that it consists of.

    Each run pays for this whose settings name a secret, so the blocks are cut by the machine and not one by one, and they lie
    side by side: those that begin in between are not needed, see :func:`_may_stand`.
    """
    texts = (path.read_text(encoding="utf-8") for path in sorted(_PACKAGE.rglob("*.py")))
    text = "\n".join((_DOCUMENTS, *texts))
    data = _bytes(text)
    return text, frozenset(memoryview(data[: len(data) // _BLOCK * _BLOCK]).cast("I"))


def _may_stand(characters: str, blocks: frozenset[int]) -> bool:
    """Whether so many characters may stand in the text: wherever they do, one whole block is among them."""
    starts = range(len(characters) - _BLOCK + 1) if len(characters) >= _SPAN else ()
    return not starts or any(_block(characters[at : at + _BLOCK]) in blocks for at in starts)


def _block(characters: str) -> int:
    return int.from_bytes(_bytes(characters), sys.byteorder)


def _bytes(text: str) -> bytes:
    """One for each character; those that have none of their own share one."""
    return text.encode("latin-1", "replace")
