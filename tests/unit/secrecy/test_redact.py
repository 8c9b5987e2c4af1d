"""Secrets are cut out of whatever leaves the process: registered ones in each form, and what looks like one."""

from __future__ import annotations

import base64
import html
import io
import json
import secrets
import time
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pytest_k8ssec.secrecy.redact import MARK, Redactor, redact, redacted, redactor, register
from pytest_k8ssec.secrecy.stream import draw_curtain

PASSWORD = "hunter2-and-more"
TOKEN = base64.b64encode(bytes(range(7, 250))).decode()
KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIFMadeUpForThisTestAndOpensNothing7x7x7x7x7x7x7x7x7x7x7x\n"
END = "-----END EC PRIVATE KEY-----"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW06In0.c2lnbmF0dXJlLW9mLXRoaXM"


def test_a_registered_value_is_given_back() -> None:
    """Registering passes the value through, so that it can be done where the value comes in."""
    assert PASSWORD == register(PASSWORD)


def test_a_registered_value_is_cut_out_wherever_it_stands() -> None:
    """Each occurrence goes, and nothing else."""
    register(PASSWORD)
    assert f"a={MARK}, b={MARK}!" == redact(f"a={PASSWORD}, b={PASSWORD}!")


def test_nothing_registered_changes_nothing() -> None:
    """Ordinary text stays as it is."""
    assert "GET /api/v1/pods -> HTTP 403" == redact("GET /api/v1/pods -> HTTP 403")


@pytest.mark.parametrize("encode", [str.encode, base64.b64encode, base64.b16encode], ids=["plain", "base64", "hex"])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_no_piece_of_a_token_s_signature_is_left(encode: Any, after: int) -> None:
    """Nobody can use the rest, which says whose it is; a traceback may begin in the middle of it."""
    encoded = (
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in ({"alg": "RS256"}, {})
    )
    signature = base64.urlsafe_b64encode(secrets.token_bytes(256)).rstrip(b"=").decode()
    known = Redactor([".".join((*encoded, signature))])
    text = encode(("x" * after + "." + signature).encode() if encode is not str.encode else "." + signature).decode()
    assert len(known(text).replace(MARK, "")) < 8
    assert MARK in known(text[-12:])


@pytest.mark.parametrize("before", ["", "u", "us", "user"])
@pytest.mark.parametrize("after", ["", "\n", "ab", "abc"])
def test_base64_of_it_is_cut_out_too_also_within_something_longer(before: str, after: str) -> None:
    """Whatever stands before and after it, the value can not be decoded from what is left."""
    register(PASSWORD)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode((before + PASSWORD + after).encode()).decode()
        assert MARK in redact(text)
        left = redact(text).replace(MARK, "").strip("=")
        assert len(left) <= len(before + after) * 4 / 3 + 4


@pytest.mark.parametrize(
    "value", ['it\'s "quoted"', "back\\slash\\ed", "two\nlines of it", "umlaut äöü", "tab\tbed in"]
)
def test_a_quoted_form_is_cut_out_too(value: str) -> None:
    """A traceback shows the repr of a value, a report its JSON."""
    register(value)
    assert f"'{MARK}'" == redact(repr(value)).replace('"', "'")
    assert f'"{MARK}"' == redact(json.dumps(value))


@pytest.mark.parametrize(("start", "end"), [(0, 118), (50, 90), (-118, None), (3, 19)])
def test_a_piece_of_a_registered_token_is_cut_out(start: int, end: int | None) -> None:
    """A traceback shortens long values: what is left of a token must not be shown either."""
    register(TOKEN)
    piece = TOKEN[start:end]
    assert f"token = '{MARK}...'" == redact(f"token = '{piece}...'")


def test_a_value_within_another_leaves_nothing_of_it() -> None:
    """Whichever of the two is looked for first; also where they only overlap."""
    outer, inner, tail = "A1b2c3d4e5f6g7hunter2H8i9j0k1l2m3n4", "hunter2", "m3n4 and the rest"
    for value in (inner, outer, tail):
        register(value)
    assert f"password: {MARK}!" == redact(f"password: {outer}!")
    assert f"{MARK}!" == redact(f"{outer} and the rest!")
    assert f"dsn {MARK}@db" == redact(f"dsn {inner}@db")


def test_each_piece_of_a_shortened_token_is_cut_out() -> None:
    """Head and tail go, what stands between stays."""
    register(TOKEN)
    assert f"'{MARK}...{MARK}'" == redact(f"'{TOKEN[:100]}...{TOKEN[-100:]}'")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("postgres://u:p@ledger.payments.svc.cluster.local:5432/books", "TCP ledger.payments.svc.cluster.local:5432"),
        ("apiVersion: v1\nkind: Config\nusers:\n- name: joe\n", "apiVersion: v1\nkind: Config\n"),
        ('{"expires": "2031-05-06T07:08:09Z", "token": "hunter2"}', "at 2031-05-06T07:08:09Z"),
        (f"{KEY}{END}", "-----BEGIN CERTIFICATE-----"),
        ("========================== a", "=== FAILURES ==============="),
        ("short", "a short word"),
    ],
)
def test_innocent_words_stay(value: str, text: str) -> None:
    """A secret that is made of words, or very short, takes nothing from other texts."""
    register(value)
    assert text == redact(text)


@pytest.mark.parametrize("length", [8, 9, 13, 40])
def test_any_eight_characters_in_a_row_are_cut_out(length: int) -> None:
    """Wherever in the value they stand, and in the text; fewer may stay."""
    value = secrets.token_hex(length)
    register(value)
    for start in range(len(value) - 7):
        for before in range(6):
            text = "~" * before + value[start : start + 8] + "~"
            assert "~" * before + MARK + "~" == redact(text)
    assert value[:7] == redact(value[:7])


def test_words_of_a_secret_are_cut_out_too_unless_everybody_uses_them() -> None:
    """A passphrase is made of words."""
    register("xylophone gondola walrus namespace")
    assert f"the {MARK}, namespace" == redact("the xylophone gon, namespace")


@pytest.mark.parametrize("value", ["abc12", "a b\n", ""])
def test_what_is_shorter_than_six_is_let_be(value: str) -> None:
    """It would cut holes into innocent words."""
    register(value)
    assert f"abc12 a b {value}" == redact(f"abc12 a b {value}")


@pytest.mark.parametrize("value", ["k9$x&7", "<\"'%>1", "xY7äöü", "zz7\\n1"])
def test_six_characters_are_cut_out_whole_in_every_form(value: str) -> None:
    """Pieces would say too little; the value itself says all."""
    register(value)
    raw = value.encode()
    shown = [value, repr(value)[1:-1], json.dumps(value)[1:-1], html.escape(value), quote(value, safe=""), raw.hex()]
    shown += [base64.b64encode(bytes(before) + raw).decode() for before in range(3)]
    assert not [text for text in shown if redact(f"= {text} =") == f"= {text} ="]


def test_lines_passwords_and_fields_are_secrets_of_their_own() -> None:
    """What is taken apart is shown in parts, each of which may be short."""
    register("first7\nsecond\n")
    register("https://joe:p%40ss7w@example.org/x")
    register('{"db": {"password": "hunt7r", "user": "joe"}}')
    assert f"{MARK} {MARK} {MARK} joe" == redact("first7 p@ss7w hunt7r joe")


def test_registering_and_redacting_are_quick() -> None:
    """A kubeconfig takes no more than seconds, and 20 MB of logs neither; a quadratic search would take hours."""
    started = time.process_time()
    for size in (24, 300, 4000):
        register(secrets.token_urlsafe(size))
    line = 'node kubelet[123]: I0101 reconciler.go:224] "operationExecutor.VerifyControllerAttachedVolume" pod="a/b"\n'
    text = line * (20_000_000 // len(line))
    assert text == redact(text)
    assert time.process_time() - started < 30


def test_a_redactor_of_its_own_hides_more_and_teaches_the_others_nothing() -> None:
    """What a cluster's Secrets hold is cut out of its logs, not out of reports."""
    register(PASSWORD)
    hide = redactor("default-namespace-7")
    assert f"{MARK} {MARK}" == hide(f"{PASSWORD} default-namespace-7")
    assert "default-namespace-7" == redact("default-namespace-7")


def test_what_only_resembles_a_value_may_stay() -> None:
    """An address among a stack's outputs must go on working."""
    hide = Redactor(["https://joe:hunter2hunter2@example.org/path-that-is-long"], whole=True)
    assert "https://example.org/path-that-is-long" == hide("https://example.org/path-that-is-long")
    assert MARK == hide("https://joe:hunter2hunter2@example.org/path-that-is-long")


def test_a_stream_behind_the_curtain_shows_no_secret() -> None:
    """It stays the object that it is."""
    stream = io.StringIO()
    draw_curtain(stream, None)
    draw_curtain(stream)
    register(PASSWORD)
    print("a", PASSWORD, file=stream)
    stream.writelines([PASSWORD, "b"])
    assert 1 == stream.write("c")
    assert f"a {MARK}\n{MARK}bc" == stream.getvalue()
    with pytest.raises(TypeError):
        stream.write(b"x")  # type: ignore[arg-type]  # as it always was


def test_a_longer_secret_goes_before_a_shorter_one_that_it_holds() -> None:
    """No rest of the longer one is left behind."""
    register("password")
    register("password-of-ledger")
    assert MARK == redact("password-of-ledger")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Bearer {JWT}", f"Bearer {MARK}"),
        (f"'{JWT[:35]}...'", f"'{MARK}...'"),
        (f"x {KEY}{END} y", f"x {MARK} y"),
        (f"x {KEY.encode()!r}", f"x b'{MARK}"),
        (f"x {KEY}", f"x {MARK}"),
        (f"{KEY}{END}\nmiddle\n{KEY}{END}", f"{MARK}\nmiddle\n{MARK}"),
        ("-----BEGIN PRIVATE KEY-----\nabc", MARK),
        ("-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",) * 2,
        ("eyJ is no token, nor is eyJhbGciOiJSUzI1NiJ9",) * 2,
        ("a.b.c",) * 2,
    ],
)
def test_what_looks_like_a_token_or_a_private_key_is_cut_out_unregistered(text: str, expected: str) -> None:
    """JWTs and private keys go even where nobody registered them, and nothing that only resembles them."""
    assert expected == redact(text)


class Colour(StrEnum):
    """A text that is more than a text."""

    RED = PASSWORD


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (PASSWORD, MARK),
        ({PASSWORD: [PASSWORD, {"a": PASSWORD}]}, {MARK: [MARK, {"a": MARK}]}),
        ((1, 2.5, True, None, PASSWORD), [1, 2.5, True, None, MARK]),
        ({1: "x"}, {"1": "x"}),
        (Colour.RED, MARK),
        ({PASSWORD}, [MARK]),
        (PASSWORD.encode(), f"b'{MARK}'"),
        (Path("/tmp") / PASSWORD, f"/tmp/{MARK}"),
        (ValueError(PASSWORD), MARK),
    ],
)
def test_a_document_is_cleaned_throughout_and_fits_json(value: Any, expected: Any) -> None:
    """Keys, lists, nested mappings and what JSON does not know come out as plain, clean values."""
    register(PASSWORD)
    found = redacted(value)
    assert expected == found
    assert type(expected) is type(found)
    assert expected == json.loads(json.dumps(found))


@pytest.mark.parametrize("at", [1, 4, 7, 12, 23])
def test_colours_in_the_middle_of_a_value_hide_nothing_of_it(at: int) -> None:
    """A highlighter sees code in it; the colours stay, and so does what stands beside."""
    value = register(secrets.token_hex(12))
    text = f"a {value[:at]}\x1b[39;49;00m\x1b[33m{value[at:]}\x1b[0m b"
    assert f"a {MARK}\x1b[39;49;00m\x1b[33m\x1b[0m b" == redact(text)
    every = "\x1b[1m".join(value)
    assert f"{MARK}{chr(27) + '[1m'}" + "\x1b[1m" * 22 == redact(every)
    plain = "\x1b[31mred\x1b[0m and nothing else\x1b[K"
    assert plain == redact(plain)
    assert f"{MARK} \x1b[1m{MARK}" == redact(f"{value} \x1b[1m{value}")


def test_a_text_that_was_shown_before_is_hidden_once_its_value_is_known() -> None:
    """What was answered is remembered, and forgotten with each further value."""
    redactor = Redactor()
    value = secrets.token_hex(12)
    text = f"it says {value}"
    assert text == redactor(text) == redactor(text)
    redactor.add(value)
    assert f"it says {MARK}" == redactor(text) == redactor(text)


def test_who_is_asked_while_a_value_comes_to_be_known_remembers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer may be one that did not know the value."""
    redactor, value = Redactor(), secrets.token_hex(12)
    text, found = f"it says {value}", redactor._cut_out

    def in_between(asked: str) -> str:
        answer = found(asked)
        redactor.add(value)
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(redactor, "_cut_out", in_between)
        assert text == redactor(text)
    assert f"it says {MARK}" == redactor(text)
