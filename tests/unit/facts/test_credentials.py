"""What logs in somewhere: each form is known wherever it lies, and what has no key, or another form, is none."""

from __future__ import annotations

import base64
import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_k8ssec.agent.remote.agent import TokenSearch
from pytest_k8ssec.facts.credentials import Found, found_credentials, of_files, of_values
from pytest_k8ssec.facts.signing_keys import SigningKeys
from pytest_k8ssec.probes.certificates import Pair, certificate_authority

AUTHORITY = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEYS = SigningKeys(authority=AUTHORITY, hosts=frozenset({"kubernetes.default.svc", "10.0.0.2", "fd00::2"}))
BOOTSTRAP = "abcdef.0123456789abcdef"


def jwt(**claims: object) -> str:
    """A token with these claims."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJSUzI1NiJ9.{payload}.c2ln"


TOKEN = jwt(sub="system:serviceaccount:web:shop", iss="https://kubernetes.default.svc", exp=2_000_000_000)


@cache
def pair(name: str) -> Pair:
    """A certificate and its key."""
    return certificate_authority(name)


def packed(text: str, times: int) -> str:
    """In base64, with lines as most programs write them."""
    for _ in range(times):
        text = base64.encodebytes(text.encode()).decode()
    return text


def found_in(**variables: str) -> Found:
    """What there is in some variables."""
    return found_credentials(of_values({name: text.encode() for name, text in variables.items()}, "variable"), KEYS)


@pytest.mark.parametrize("times", [0, 1, 2])
@pytest.mark.parametrize(
    ("text", "form", "user"),
    [
        (TOKEN, "token of a service account", "system:serviceaccount:web:shop"),
        (BOOTSTRAP, "bootstrap token", "system:bootstrap:abcdef"),
        (pair("somebody").pem, "client certificate", "somebody"),
    ],
    ids=["token", "bootstrap", "certificate"],
)
def test_each_form_is_found_also_packed(text: str, form: str, user: str, times: int) -> None:
    """Plain, in base64, and twice so; the place says which."""
    (one,) = found_in(KEY=packed(text, times)).credentials
    assert (form, user) == (one.form, one.user)
    assert "variable KEY" + " in base64" * times == one.place
    assert (one.token == text) if one.token else (one.pem.split() == text.split())


def test_what_is_found_twice_is_one() -> None:
    """Kubelets lay each file of a volume at two paths."""
    assert 1 == len(found_in(ONE=TOKEN, OTHER=packed(TOKEN, 1)).credentials)


OF_POD = {"kubernetes.io": {"pod": {"name": "shop-1"}}}


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"exp": 2_000_000_000, **OF_POD}, True),
        ({"exp": 2_000_000_000}, False),
        ({"exp": 2_000_000_000, "kubernetes.io": "pod"}, False),
        (OF_POD, False),
        ({}, False),
    ],
    ids=["bound", "unbound", "odd", "endless", "old"],
)
def test_a_token_that_ends_with_a_pod_is_told_apart(claims: dict[str, Any], expected: bool) -> None:
    """By its claims: what somebody asked for himself is bound to none."""
    (one,) = found_in(KEY=jwt(sub="system:serviceaccount:web:shop", **claims)).credentials
    assert expected is one.of_pod


def test_a_certificate_and_its_key_belong_together_wherever_they_lie() -> None:
    """By the public key; JSON and YAML may have taken either in."""
    own, other = pair("somebody"), pair("another")
    kept = found_in(CERT=json.dumps({"c": own.certificate}), KEY="  " + own.key.replace("\n", "\n  "), OTHER=other.key)
    (one,) = kept.credentials
    assert ("client certificate", "variable CERT and variable KEY") == (one.form, one.place)
    stranger = found_in(CERT=own.certificate, KEY=other.key)
    assert ((), ("private key without its certificate in variable KEY",)) == (stranger.credentials, stranger.others)
    assert not found_in(CERT=own.certificate).credentials


def test_what_signed_a_certificate_is_shown_with_it() -> None:
    """The API server need know the last of a chain only; the one whose key was found comes first."""
    own, above = pair("somebody"), pair("above")
    (one,) = found_in(BOTH=f"{above.certificate}\n{own.certificate}\n{own.key}").credentials
    assert [0, 1] == [one.pem.index(each) > 0 for each in (own.certificate.strip(), above.certificate.strip())]


def test_a_certificate_that_nobody_should_have_made_breaks_nothing() -> None:
    """A serial number that is not positive: cryptography warns of it, and warnings are errors here. The pair still counts."""
    from cryptography.x509 import load_pem_x509_certificate

    own = pair("somebody")
    data = base64.b64decode("".join(own.certificate.splitlines()[1:-1]))
    serial = load_pem_x509_certificate(own.certificate.encode()).serial_number
    raw = serial.to_bytes((serial.bit_length() + 8) // 8, "big").lstrip(b"\0")
    odd = base64.encodebytes(data.replace(raw, b"\x80" + raw[1:], 1)).decode()
    text = f"-----BEGIN CERTIFICATE-----\n{odd}-----END CERTIFICATE-----\n"
    assert not found_in(CERT=text).credentials
    (one,) = found_in(CERT=text, KEY=own.key).credentials
    assert ("client certificate", "") == (one.form, one.user)


def config(authority: bytes = AUTHORITY, **user: object) -> str:
    """A kubeconfig of one user."""
    data = base64.b64encode(authority).decode()
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "a", "cluster": {"certificate-authority-data": data}}],
            "users": [{"name": "b", "user": user}],
            "contexts": [{"name": "c", "context": {"cluster": "a", "user": "b"}}],
        }
    )


ODD = """kind: Config
at: {at}
clusters: []
users: [{{name: a, user: {user}}}]
contexts: [{{name: a, context: {{user: a, cluster: b}}}}]
"""


def test_a_kubeconfig_tells_more_than_its_texts() -> None:
    """A token without a form of its own counts where the kubeconfig is for this API server; what has one counts once."""
    (one,) = found_in(KUBECONFIG=packed(config(token="opaque"), 1)).credentials
    assert ("token", "opaque", "variable KUBECONFIG in base64") == (one.form, one.token, one.place)
    elsewhere = found_in(KUBECONFIG=config(b"another", token="opaque"))
    assert ((), 1) == (elsewhere.credentials, len(elsewhere.others))
    (known,) = found_in(KUBECONFIG=config(token=TOKEN)).credentials
    assert "token of a service account" == known.form
    own = pair("somebody")
    data: dict[str, Any] = {f"client-{what}-data": base64.b64encode(text.encode()).decode() for what, text in
            (("certificate", own.certificate), ("key", own.key))}  # fmt: skip
    for times in range(3):
        (certificate,) = found_in(KUBECONFIG=packed(config(**data), times)).credentials
        assert ("client certificate", "somebody") == (certificate.form, certificate.user)


@pytest.mark.parametrize("held", ["opaque", "", "two\nlines", "x" * 5000])
@pytest.mark.parametrize("name", ["token", "below/../token"])
def test_a_token_in_a_file_that_a_kubeconfig_names(tmp_path: Path, held: str, name: str) -> None:
    """It has no form of its own; what is no token is none, and is told by the kubeconfig's place."""
    (tmp_path / "below").mkdir()
    (tmp_path / "token").write_text(f"{held}\n")
    path = tmp_path / "config"
    path.write_text(config(tokenFile=name))
    search = TokenSearch(math.inf, pieces=True)
    search.look([str(path)], 10, 10_000)
    assert search.pieces is not None
    found = found_credentials(of_files([*search.pieces.values()]), KEYS)
    good = held == "opaque"
    assert ([held] if good else []) == [each.token for each in found.credentials]
    assert ((), (f"kubeconfig with tokenFile in {path}",))[not good] == found.others


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (config(tokenFile="/nowhere"), "kubeconfig with tokenFile in variable KEY"),
        (config(exec={"command": "aws"}), "kubeconfig with exec in variable KEY"),
        (config(password="x"), "kubeconfig with password in variable KEY"),
        ("kind: Config\nclusters: [\nusers:\ncontexts:", "kubeconfig that can't be read in variable KEY"),
        ("kind: Config\nclusters: 3\nusers: 3\ncontexts: 3", "kubeconfig that can't be read in variable KEY"),
        (ODD.format(user="text", at="2021-01-01"), "kubeconfig that can't be read in variable KEY"),
        (ODD.format(user="{}", at="2021-99-99"), "kubeconfig that can't be read in variable KEY"),
        (config(token="a\u00e9b"), "token that can't be shown, in the kubeconfig in variable KEY"),
        ('{"auths": {"r.example.com": {"auth": "dXNlcjpwYXNz"}}}', "password of a registry in variable KEY"),
        ("AKIAIOSFODNN7EXAMPLE", "access key of AWS in variable KEY"),
        ('{"type": "service_account"}', "key of a Google account in variable KEY"),
        (jwt(sub="me", iss="https://issuer.example.com"), "token of https://issuer.example.com in variable KEY"),
        (pair("x").key.replace("MII", "MIJ"), "private key that can't be read in variable KEY"),
    ],
    ids=[
        "token-file",
        "exec",
        "password",
        "no-yaml",
        "no-lists",
        "no-user",
        "no-date",
        "no-header",
        "registry",
        "aws",
        "google",
        "issuer",
        "broken-key",
    ],
)
def test_what_is_for_others_is_told_and_shown_to_nobody(text: str, words: str) -> None:
    """By form and place; the text itself is not in it."""
    found = found_in(KEY=text)
    assert ((), (words,)) == (found.credentials, found.others)


@pytest.mark.parametrize(("kind", "where"), [("", "/etc/t"), ("Secret", "kube-system/bootstrap-token-abcdef")])
def test_two_keys_of_a_secret_are_a_bootstrap_token(kind: str, where: str) -> None:
    """As one is stored, be it mounted or shown by the API server; one of them alone is none."""
    parts = {
        f"{where}/token-id": b"abcdef\n",
        f"{where}/token-secret": b"0123456789abcdef",
        "/etc/u/token-id": b"fedcba",
    }
    (one,) = found_credentials(of_values(parts, kind), KEYS).credentials
    assert (BOOTSTRAP, "system:bootstrap:abcdef", f"{kind} {where}".strip()) == (one.token, one.user, one.place)


@pytest.mark.parametrize("prefix", ["", "BOOT_"])
def test_they_are_one_as_variables_too(prefix: str) -> None:
    """By envFrom, which may give them a prefix."""
    found = found_in(**{f"{prefix}token-id": "abcdef", f"{prefix}token-secret": "0123456789abcdef"})
    assert [(BOOTSTRAP, f"variable {prefix}".strip())] == [(one.token, one.place) for one in found.credentials]


@pytest.mark.parametrize(
    "text",
    ["", "abcde.0123456789abcdef", "x" * 50, "an.abcdef.0123456789abcdef", "eyJhbGciOiJSUzI1NiJ9.bm90IGpzb24.c2ln",
     jwt(), "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"],
)  # fmt: skip
def test_what_is_none_is_none(text: str) -> None:
    """And no parser breaks at it."""
    assert Found((), ()) == found_in(KEY=text)


def test_nothing_shows_a_value() -> None:
    """Neither a piece's nor a credential's repr."""
    pieces = of_files([{"form": "token", "packed": "", "text": TOKEN, "place": "/t"}])
    assert TOKEN not in repr((pieces, found_credentials(pieces, KEYS)))
