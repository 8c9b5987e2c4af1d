"""What logs in somewhere, among the pieces that look like it: tokens, client certificates with their keys, kubeconfigs.

Nothing is guessed and nobody is asked: whether the API server takes one is for a probe to find out. What is for others than
the API server, a registry or a cloud, is told by its form and place alone.

Sources: https://kubernetes.io/docs/reference/access-authn-authz/authentication/;
https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#token-format;
https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_k8ssec.agent.remote.agent import pieces as pieces_in
from pytest_k8ssec.errors.yaml_text import load_yaml
from pytest_k8ssec.facts.signing_keys import SOMEBODY, SigningKeys, forged_by, is_front_proxy, leads_here

_CHAIN_MAX = 10
"""Certificates that are shown after the one whose key was found."""
_ANYBODY = "anybody"
_OF_PROXY = "client certificate of the front proxy"
OPAQUE = "token"
"""The form of a token that only its kubeconfig tells to be one."""
_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class Piece:
    """Something that looks like a credential, or like a part of one."""

    form: str
    """As the agent calls it: ``token``, ``certificate``, ``key``, ``kubeconfig``, ..."""
    place: str
    """``/etc/web/config in base64``; never holds a value."""
    text: str = field(repr=False)
    """"" where nobody is to be shown it."""


@dataclass(frozen=True, slots=True)
class Credential:
    """Something that the API server may take."""

    form: str
    """``token of a service account``, ``client certificate``, ..."""
    place: str
    user: str
    """Whom it claims to be; the API server knows better."""
    token: str = field(default="", repr=False)
    pem: str = field(default="", repr=False)
    """Certificate and key, where it is no token."""
    of_pod: bool = False
    """Whether it is a token that ends with a pod, as those do that kubelets mount."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What is to be said with it: a front proxy names in a header for whom it speaks."""
    anybody: bool = False
    """Whether who has it is anybody to the API server: it was made with a key that signs."""


@dataclass(frozen=True, slots=True)
class Found:
    """What there is among some pieces."""

    credentials: tuple[Credential, ...]
    others: tuple[str, ...]
    """What is not for the API server, or can't be shown to it, in words: form and place."""


def of_files(raw: Sequence[Mapping[str, Any]]) -> list[Piece]:
    """The pieces that an agent found in files."""
    return [Piece(each["form"], f"{each['place']} {each['packed']}".strip(), each["text"]) for each in raw]


def of_values(values: Mapping[str, bytes], kind: str) -> list[Piece]:
    """The pieces in values that this process has read.

    Args:
        values: by what they are called.
        kind: of what they are: ``variable``; "" for files.
    """
    return [piece for name, value in values.items() for piece in of_files(pieces_in(value, f"{kind} {name}".strip()))]


def found_credentials(pieces: Sequence[Piece], authority: SigningKeys) -> Found:
    """What logs in somewhere, each once.

    Args:
        authority: what the cluster's API servers know their clients by; also by that a kubeconfig is for this cluster.
    """
    known: dict[str, Credential] = {}
    others: dict[str, None] = {}
    for each in (*_tokens(pieces), *_pairs(pieces, authority), *_kubeconfigs(pieces, authority)):
        if isinstance(each, str):
            others[each] = None
        else:
            # Of a certificate with its chain, the first is whose key was found.
            known.setdefault(f"{each.token or each.pem.partition('-----END')[0]}{dict(each.headers)}", each)
    others |= dict.fromkeys(f"{each.form} in {each.place}" for each in pieces if not each.text)
    return Found(tuple(known.values()), tuple(others))


def _tokens(pieces: Iterable[Piece]) -> Iterator[Credential | str]:
    parts: dict[str, dict[str, str]] = {}
    for each in pieces:
        if each.form == "token":
            claims = _claims(each.text)
            user = str(claims.get("sub", ""))
            if user.startswith(_ACCOUNT):
                yield Credential("token of a service account", each.place, user, each.text, of_pod=_is_of_pod(claims))
            elif claims:  # whoever issued it may be anywhere: it is shown to nobody
                yield f"token of {str(claims.get('iss', 'an unknown issuer'))[:100]} in {each.place}"
        elif each.form == "bootstrap token":
            user = f"system:bootstrap:{each.text.partition('.')[0]}"
            yield Credential("bootstrap token", each.place, user, each.text)
        elif each.form in ("token-id", "token-secret"):
            parts.setdefault(each.place.removesuffix(each.form).rstrip("/ "), {})[each.form] = each.text
    for folder, held in parts.items():
        if len(held) == 2:
            token = f"{held['token-id']}.{held['token-secret']}"
            yield Credential("bootstrap token", folder, f"system:bootstrap:{held['token-id']}", token)


def _is_of_pod(claims: Mapping[str, Any]) -> bool:
    """Whether a token ends, and with a pod at the latest.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens
    """
    bound = claims.get("kubernetes.io")
    return "exp" in claims and isinstance(bound, dict) and "pod" in bound


def _claims(token: str) -> Mapping[str, Any]:
    """The claims of a JWT, none where it is none. Source: RFC 7519, section 3."""
    part = token.split(".")[1]
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _pairs(pieces: Sequence[Piece], authority: SigningKeys) -> Iterator[Credential | str]:
    """Certificates and the keys that are theirs, wherever each of them lies: a certificate holds its public key as it is."""
    certificates = [(each, _decoded(each.text)) for each in pieces if each.form == "certificate"]
    for key in (each for each in pieces if each.form == "key"):
        public = _public_of(key.text)
        if public is None:
            yield f"private key that can't be read in {key.place}"
            continue
        own = [each for each, data in certificates if public in data]
        made = forged_by(_unescaped(key.text), public, authority)
        if made is not None:
            yield Credential(made.form, key.place, _ANYBODY, made.token, made.pem, headers=made.headers, anybody=True)
        elif not own:
            yield f"private key without its certificate in {key.place}"
        for piece in own:
            where = piece.place if piece.place == key.place else f"{piece.place} and {key.place}"
            # What signed it may be needed: an API server need know the last of a chain only.
            chain = [each.text for each, _ in certificates if each.place == piece.place and each is not piece][
                :_CHAIN_MAX
            ]
            pem = "".join(f"{_unescaped(each)}\n" for each in (piece.text, *chain, key.text))
            yield Credential("client certificate", where, _common_name(piece.text), pem=pem)
            if authority.front_proxy and is_front_proxy(_unescaped(piece.text), authority):
                header = {authority.user_header: SOMEBODY}
                # A client of its own: as one without the header it is nobody.
                yield Credential(_OF_PROXY, where, _ANYBODY, pem=f"{pem}\n", headers=header, anybody=True)


def _public_of(key: str) -> bytes | None:
    """The public part of a private key, as certificates have it; None where it can't be read."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        public = serialization.load_pem_private_key(_unescaped(key).encode(), password=None).public_key()
        return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm, Warning):  # broken, odd, or under a passphrase
        return None


def _decoded(pem: str) -> bytes:
    """What is between the frames of a PEM; nothing where that is no base64."""
    try:
        return base64.b64decode("".join(line for line in _unescaped(pem).splitlines() if not line.startswith("-----")))
    except ValueError:
        return b""


def _common_name(certificate: str) -> str:
    """Whom a certificate names, "" where that can't be read; the API server knows better."""
    from cryptography.x509 import load_pem_x509_certificate
    from cryptography.x509.oid import NameOID

    try:
        names = load_pem_x509_certificate(_unescaped(certificate).encode()).subject.get_attributes_for_oid(
            NameOID.COMMON_NAME
        )
    except (ValueError, Warning):  # of odd ones cryptography warns, and warnings may be errors
        return ""
    return str(names[0].value) if names else ""


def _unescaped(pem: str) -> str:
    """A PEM as it was before a document took it in: JSON escapes its ends of lines, YAML indents them."""
    return "\n".join(line.strip() for line in pem.replace("\\r", "").replace("\\n", "\n").splitlines())


def _kubeconfigs(pieces: Sequence[Piece], authority: SigningKeys) -> Iterator[Credential | str]:
    """What only the structure of a kubeconfig tells; tokens and keys with a form of their own are found by that."""
    files = {each.place: each.text for each in pieces if each.form == "token file"}
    for each in (piece for piece in pieces if piece.form == "kubeconfig"):
        try:
            document = load_yaml(each.text)
            users = {str(one["name"]): one.get("user") or {} for one in document["users"] or ()}
            clusters = {str(one["name"]): one.get("cluster") or {} for one in document["clusters"] or ()}
            contexts = [one.get("context") or {} for one in document["contexts"] or ()]
            ends = [
                (users.get(str(one.get("user")), {}), clusters.get(str(one.get("cluster")), {})) for one in contexts
            ]
            found = [one for user, cluster in ends for one in _of_context(each, user, cluster, authority, files)]
        except (LookupError, TypeError, AttributeError, ValueError):
            yield f"kubeconfig that can't be read in {each.place}"
            continue
        yield from found


def _of_context(
    piece: Piece,
    user: Mapping[str, Any],
    cluster: Mapping[str, Any],
    authority: SigningKeys,
    files: Mapping[str, str],
) -> Iterator[Credential | str]:
    named = str(user.get("tokenFile") or "")
    beside = files.get(f"{piece.place} {named}", "")
    if named and not beside:
        yield f"kubeconfig with tokenFile in {piece.place}"
    for token in filter(None, (str(user.get("token") or "").strip(), beside)):
        yield from _of_token(token, piece, cluster, authority)
    inside = [
        Piece(form, piece.place, base64.b64decode(str(user[name])).decode("utf-8", "replace"))
        for form, name in (("certificate", "client-certificate-data"), ("key", "client-key-data"))
        if user.get(name)
    ]
    yield from _pairs(inside, authority)  # where the whole is in base64 already, they are deeper than the agent looks
    for field_name in ("exec", "auth-provider", "password"):
        if user.get(field_name):
            yield f"kubeconfig with {field_name} in {piece.place}"


def _of_token(
    token: str, piece: Piece, cluster: Mapping[str, Any], authority: SigningKeys
) -> Iterator[Credential | str]:
    """A token that only a kubeconfig tells to be one."""
    if token and not (token.isascii() and token.isprintable()):
        yield f"token that can't be shown, in the kubeconfig in {piece.place}"
    elif token and not _claims_or_none(token):
        if _is_ours(cluster, authority):
            yield Credential(OPAQUE, piece.place, "whom its kubeconfig does not tell", token)
        else:
            yield f"token for another API server, by its kubeconfig in {piece.place}"


def _claims_or_none(token: str) -> bool:
    """Whether a token has a form of its own."""
    return token.count(".") == 2 and bool(_claims(token))


def _is_ours(cluster: Mapping[str, Any], authority: SigningKeys) -> bool:
    """Whether a kubeconfig's cluster is this one: by its CA, and where that is in no file of its own, by where it leads."""
    encoded = str(cluster.get("certificate-authority-data") or "")
    return _same(encoded, authority.authority) if encoded else leads_here(str(cluster.get("server") or ""), authority)


def _same(encoded: str, authority: bytes) -> bool:
    """Whether a certificate authority is this one's."""
    try:
        return bool(encoded) and base64.b64decode(encoded).split() == authority.split()
    except (binascii.Error, ValueError):
        return False
