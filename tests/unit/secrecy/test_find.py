"""The search for secrets: every form is found and told by its place, and nothing innocent is."""

from __future__ import annotations

import base64
import gzip
import json

import pytest

from pytest_k8ssec.secrecy.find import leaks

VALUE = 'correct horse "battery" staple 7'
IN_JSON = json.dumps({"note": {"key": VALUE}})


def packed(data: bytes | str, *ways: str) -> str:
    """The data, packed one way after the other."""
    for way in ways:
        raw = data.encode() if isinstance(data, str) else data
        data = gzip.compress(raw) if way == "gzip" else base64.b64encode(raw).decode()
    return data if isinstance(data, str) else data.decode("latin-1")


FORMS = {
    "in plain": f"key={VALUE}",
    "in base64": packed(f"xy{VALUE}", "base64"),
    "in base64 in base64": packed(VALUE, "base64", "base64"),
    "in gzip in base64": packed(VALUE, "gzip", "base64"),
    "in gzip in base64 in base64": packed(IN_JSON, "gzip", "base64", "base64"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_found(form: str) -> None:
    """Also between other text, and with characters that JSON and base64 treat in their own ways."""
    document = {"a": [{"b": f"before-{FORMS[form]}\n"}], "c": 3}
    assert [("key", "a[0].b", form)] == [
        (each.secret, each.place, each.form) for each in leaks(document, {"key": VALUE})
    ]


def test_the_other_alphabet_of_base64_is_read() -> None:
    """Tokens and URLs use it."""
    text = base64.urlsafe_b64encode(b"\xff\xfe\xfb" + VALUE.encode()).decode()
    assert ["in base64"] == [each.form for each in leaks(text, {"key": VALUE})]


def test_a_value_within_a_text_of_json_is_found() -> None:
    """As kubectl keeps whole objects in an annotation."""
    assert ["in plain"] == [each.form for each in leaks({"annotation": IN_JSON}, {"key": VALUE})]


KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2
OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIICLDCCAdKgAwIBAgIBADAKBggqhkjOPQQDAjB9MQswCQYDVQQGEwJCRTEPMA0G
-----END CERTIFICATE-----
level: information
"""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("correct horse\n", "correct horse"),
        ("p&ss<word>1", r'{"key":"p\u0026ss\u003cword\u003e1"}'),
        ("p&ss<word>\xe91", "p\\u0026ss\\u003cword\\u003e\xe91"),
        ("p/ss w%rd:1", "https://user:p%2Fss%20w%25rd%3A1@example.com"),
        ("correct1", "636f727265637431"),
        ("correct/1", "636F72726563742F31"),
        (KEY, "key: |\n  " + KEY.replace("\n", "\n  ")),
        (KEY, "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2"),
    ],
)
def test_a_value_is_found_however_it_is_written(value: str, text: str) -> None:
    """Without the newline of its file, as Go's JSON or a URL escapes it, in hex, indented; no place shows it."""
    found = list(leaks({text: text}, {"key": value}))
    assert 2 == len(found)
    assert not any(text in each.place for each in found)


@pytest.mark.parametrize("line", KEY.splitlines()[:1] + KEY.splitlines()[3:])
def test_what_others_have_as_well_is_no_part_of_a_key(line: str) -> None:
    """Its frame, its certificate, and settings beside it."""
    assert [] == list(leaks({"a": line}, {"key": KEY}))


@pytest.mark.parametrize("value", ["abc\n", "a b", "\n"])
def test_what_is_made_of_a_short_value_is_not_looked_for(value: str) -> None:
    """It stands in innocent words as well."""
    assert [] == list(leaks({"a": "abc a%20b abcdef"}, {"key": value}))


def test_no_place_holds_the_value() -> None:
    """A value that is a key is found, and its place is told without it."""
    found = list(leaks({VALUE: {"x": VALUE}}, {"key": VALUE}))
    assert len(found) == 2
    assert not any(VALUE in each.place for each in found)


@pytest.mark.parametrize("text", ["", "kube-apiserver-etcd-client/kube-apiserver", "\x1f\x8bno", "A" * 999, VALUE[:-1]])
def test_nothing_innocent_is_found(text: str) -> None:
    """Neither what looks packed and is not, nor a piece of the value."""
    assert [] == list(leaks({text or "empty": text, "number": 7, "none": None}, {"key": VALUE}))
