"""Ten kinds of secrets, made anew each time, through every output and ending: nothing random of them is ever shown."""

from __future__ import annotations

import base64
import json
import re
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from pytest_k8ssec.secrecy.redact import MARK

_ALPHABET = string.ascii_letters + string.digits
_SYMBOLS = "\"'\\<>&%$`!#*;:,/? "
_NO_LINE = (serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())


@dataclass(frozen=True)
class Kind:
    """A secret, and what of it nobody can guess."""

    value: str
    random: tuple[str, ...]


def some(length: int, alphabet: str = _ALPHABET) -> str:
    """Random characters."""
    return "".join(secrets.choice(alphabet) for _ in range(length))


def pem(key: str) -> Kind:
    """A private key; its first line and the public key's frame are alike in many."""
    lines = key.strip().splitlines()[1:-1]
    return Kind(key, tuple(line for line in lines[1:] if len(line) > 8) or tuple(lines))


def kinds() -> dict[str, Kind]:
    """One of each kind."""
    word, umlauts = some(24), some(20, "äöüßéñ漢字€" + _ALPHABET)
    # A highlighter takes "%d" or "{x}" in a text for code, and colours it.
    symbols = some(6, _ALPHABET + _SYMBOLS) + f"%d{some(3)}%(a)s{some(2)}{{0}}" + some(18, _ALPHABET + _SYMBOLS)
    lines = [some(12), some(7), some(30)]
    short, inner, password, padded = some(6), some(16), some(18), some(14)
    curve = ec.generate_private_key(ec.SECP256R1())
    classic = curve.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    openssh = ed25519.Ed25519PrivateKey.generate().private_bytes(serialization.Encoding.PEM, *_NO_LINE)
    data = base64.b64encode(secrets.token_bytes(60)).decode()
    return {
        "letters and digits": Kind(word, (word,)),
        "symbols": Kind(symbols, (symbols,)),
        "lines": Kind("\n".join(lines) + "\n", tuple(lines)),
        "EC key": pem(classic.decode()),
        "OpenSSH key": pem(openssh.decode()),
        "six": Kind(short, (short,)),
        "JSON": Kind(json.dumps({"apiVersion": "v1", "user": {"name": "a", "password": inner}}, indent=1), (inner,)),
        "URL": Kind(f"postgres://books:{password}@ledger.payments:5432/books", (password,)),
        "unicode": Kind(umlauts, (umlauts,)),
        "base64": Kind(data, (data,)),
        "padded": Kind(f"  {padded}\n", (padded,)),
    }


_MADE = kinds()
_VARIABLES = {f"LAB_SECRET_{chr(65 + number)}": kind.value for number, kind in enumerate(_MADE.values())}
_OPTIONS = [f"--k8ssec-secret=lab:{name.lower()}={name}" for name in _VARIABLES]

_BEGIN = """
import base64, html, json, logging, os, pprint, shlex, sys, textwrap, urllib.parse, warnings
import pytest
SECRETS = [os.environ[name] for name in sorted(os.environ) if name.startswith("LAB_SECRET_")]
"""
_MODULE = (
    _BEGIN
    + """
from lab import breached, held
NUMBERS = range(len(SECRETS))

@pytest.fixture(params=NUMBERS)
def value(request): return SECRETS[request.param]

def ways(value):
    raw = value.encode()
    yield from (value, repr(value), ascii(value), str(raw), json.dumps(value), json.dumps(value, ensure_ascii=False))
    yield from (json.dumps(json.dumps({"a": value})), repr([repr(value)]), html.escape(value), shlex.quote(value))
    yield from (urllib.parse.quote(value), urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value))
    for before in ("", "a", "ab"):
        yield base64.b64encode(before.encode() + raw + b"tail").decode()
        yield base64.urlsafe_b64encode(before.encode() + raw).decode()
    yield from (raw.hex(), raw.hex().upper(), value.strip(), value.replace("\\n", "\\r\\n"))
    yield from (textwrap.fill(value, 20), textwrap.indent(value, "    | "), value[: len(value) * 2 // 3])
    yield pprint.pformat({"key": [value] * 3}, width=30)

def test_prints(value):
    for way in ways(value):
        print(way); print(way, file=sys.stderr); logging.getLogger("lab").error("says %s", way)
    sys.stdout.write(value[:15]); sys.stdout.write(value[15:])

def test_prints_and_fails(value):
    for way in ways(value): print(way)
    assert 0

def test_warns(value): warnings.warn(value); warnings.warn(json.dumps(value))

def test_raises(value): raise RuntimeError(value)

def test_raises_in_other_words(value): raise RuntimeError("|".join(ways(value)))

def test_is_cut_in_a_repr(value):
    holder = {"data": "x" * 90 + value + "y" * 90}; many = [value] * 40; pair = (value, value.encode())
    deep(holder, many, pair)

def deep(holder, many, pair): assert holder == many

def test_is_compared(value):
    assert value == value[:4] + "#" + value[5:]

def test_is_compared_in_a_document(value):
    assert {"a": [value, 1], "b": "c" * 80} == {"a": [value.upper(), 1], "b": "d" * 80}

def test_is_in_it(value): assert "~~" in value

def test_lines_are_compared(value):
    assert (value + "\\nmore").splitlines() == [line[::-1] for line in value.splitlines()]

def test_says_why(value): assert not value, f"{value} is {value!r}"

def test_skips(value): pytest.skip(value)

def test_xfails(value): pytest.xfail(value)

def test_fails_plainly(value): pytest.fail(value, pytrace=False)

def test_many_at_once(value):
    raise ExceptionGroup(value, [ValueError(value), TypeError(repr(value))])

def test_has_notes(value):
    error = ValueError("x"); error.add_note(value); raise error from KeyError(value)

@pytest.fixture
def breaks_before(value): raise OSError(value)

@pytest.fixture
def breaks_after(value):
    yield
    assert value == "after", value

def test_set_up(breaks_before): pass

def test_torn_down(breaks_after): pass

def test_properties(value, record_property, record_testsuite_property, record_xml_attribute):
    record_property("key", value); record_property(value, 1)
    record_testsuite_property("suite", value); record_xml_attribute("extra", value)

@pytest.mark.parametrize("secret", SECRETS)
def test_parameter(secret): assert 0

@pytest.mark.parametrize("secret", [value.encode() for value in SECRETS])
def test_parameter_of_bytes(secret): pass

@pytest.mark.parametrize("number", [pytest.param(n, id=s.strip().replace("\\n", " ")) for n, s in enumerate(SECRETS)])
def test_named(number): pass

def test_judged(judge, value): judge.note(value); breached(judge, value)

def test_judged_well(judge, value): held(judge, repr(value))

def test_not_applicable(judge, value): judge.not_applicable(value)
"""
)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets, in the environment."""
    for name, value in _VARIABLES.items():
        monkeypatch.setenv(name, value)


def shown(text: str) -> set[str]:
    """Kinds of which a text shows something: eight characters in a row, or all of six, or either in base64 or hex."""
    found = set()
    joined = re.sub(r"\x1b\[[0-9;]*m", "", text)
    for name, kind in _MADE.items():
        whole = (kind.value, kind.value.strip(), *kind.random)
        needles = {each for each in whole if len(each) >= 6}
        needles |= {part[at : at + 8] for part in kind.random for at in range(len(part) - 7)}
        for each in whole:
            raw = each.encode()
            needles |= {base64.b64encode(raw).decode().rstrip("=")[:-1], raw.hex(), raw.hex().upper()}
            needles |= {json.dumps(each)[1:-1], repr(each)[1:-1], quote(each), quote(each, safe="")}
        if any(len(needle) >= 6 and needle in joined for needle in needles):
            found.add(name)
    return found


Outputs = Callable[..., dict[str, str]]


@pytest.fixture
def outputs(lab: pytest.Pytester, given: None) -> Outputs:
    """Runs pytest with the secrets given, and collects all that it prints and writes."""

    def collect(*options: str, **files: str) -> dict[str, str]:
        lab.makepyfile(**files)
        lab.makeini("[pytest]\njunit_family = legacy\nlog_file_level = INFO\n")
        made = ("--junit-xml=junit.xml", "--log-file=log.txt", "--k8ssec-report=report", "--k8ssec-strict=off")
        result = lab.runpytest_subprocess(*_OPTIONS, *made, *options)
        told = {"stdout": result.stdout.str(), "stderr": result.stderr.str()}
        for path in sorted(lab.path.rglob("*")):
            if path.is_file() and path.suffix not in (".py", ".pyc", ".ini") and path.name not in ("stdout", "stderr"):
                told[str(path.relative_to(lab.path))] = path.read_text(errors="replace")
        return told

    return collect


@pytest.mark.parametrize(
    "options",
    [
        ("-vv", "-rA", "--showlocals", "-o", "log_cli=true"),
        ("-rA", "--tb=short", "--color=yes"),
        ("-rA", "--tb=native", "-l", "-v", "--full-trace"),
        ("-q", "--tb=line", "-ra"),
        ("-n2", "-vv", "-l", "-rA", "--tb=long"),
        ("-s", "-v", "--tb=auto"),
    ],
    ids=" ".join,
)
def test_no_output_shows_a_secret(outputs: Outputs, options: tuple[str, ...]) -> None:
    """Whatever a test does with it: terminal, JUnit XML, report.json, log file and cache are all searched."""
    told = outputs(*options, test_it=_MODULE)
    assert {"junit.xml", "report/report.json"} <= set(told)
    assert MARK in told["stdout"]
    assert {} == {place: found for place, text in told.items() if (found := shown(text))}


_ALL = "'|'.join(SECRETS + list(map(repr, SECRETS)))"
_TEST = "def test_it(): pass\n"
ENDINGS: dict[str, dict[str, str]] = {
    "internal error": {
        "conftest": f"{_BEGIN}\ndef pytest_runtest_call(item): raise KeyboardInterrupt if 0 else SystemError\n"
        f"def pytest_runtest_logfinish(): raise RuntimeError({_ALL})\n",
        "test_it": _TEST,
    },
    "internal error at the start": {"conftest": f"{_BEGIN}\ndef pytest_sessionstart(): raise RuntimeError({_ALL})\n"},
    "exit": {"test_it": f"{_BEGIN}\ndef test_it(): pytest.exit({_ALL})\n"},
    "exit at the start": {"conftest": f"{_BEGIN}\ndef pytest_configure(): pytest.exit({_ALL})\n"},
    "usage": {"conftest": f"{_BEGIN}\ndef pytest_configure(): raise pytest.UsageError({_ALL})\n"},
    "usage at collection": {"conftest": f"{_BEGIN}\ndef pytest_collection(): raise pytest.UsageError({_ALL})\n"},
    "conftest": {"conftest": f"{_BEGIN}\nprint({_ALL})\nprint({_ALL}, file=sys.stderr)\nraise OSError({_ALL})\n"},
    "collection": {"test_it": f"{_BEGIN}\nprint({_ALL})\nraise OSError({_ALL})\n"},
    "skipped module": {"test_it": f"{_BEGIN}\npytest.skip({_ALL}, allow_module_level=True)\n"},
    "Ctrl-C": {"test_it": f"{_BEGIN}\ndef test_it():\n    key = {_ALL}\n    raise KeyboardInterrupt({_ALL})\n"},
    "thread": {
        "test_it": f"{_BEGIN}\nimport threading\ndef fail(): raise OSError({_ALL})\n"
        "def test_it(): each = threading.Thread(target=fail); each.start(); each.join()\n"
    },
    "header": {"conftest": f"{_BEGIN}\ndef pytest_report_header(): return SECRETS\n", "test_it": _TEST},
    "summary": {
        "conftest": f"{_BEGIN}\ndef pytest_terminal_summary(terminalreporter):\n"
        "    for each in SECRETS: terminalreporter.write_line(each); print(each); print(each, file=sys.stderr)\n",
        "test_it": _TEST,
    },
}


CASES = [
    *((ending, ("--full-trace", "-l", "-rs")) for ending in ENDINGS),
    *((ending, ("-n2",)) for ending in ("internal error", "collection", "thread", "header")),
    *((ending, ("-p", "no:terminal")) for ending in ("internal error", "exit at the start", "usage")),
]


@pytest.mark.parametrize(("ending", "options"), CASES, ids=lambda each: each if isinstance(each, str) else each[0])
def test_no_ending_shows_a_secret(outputs: Outputs, ending: str, options: tuple[str, ...]) -> None:
    """Wherever a run breaks off, and whoever says so."""
    told = outputs(*options, **ENDINGS[ending])
    if options[0] == "--full-trace":
        assert MARK in told["stdout"] + told["stderr"]
    assert {} == {place: found for place, text in told.items() if (found := shown(text))}


_PREPARES = """
from pytest_k8ssec.plugin.session import SETTINGS
from pytest_k8ssec.stack import StackSource, prepare
def test_it(request):
    settings = request.config.stash[SETTINGS]
    prepare(StackSource(settings.stack, "dev", None, {}, settings.secret))
"""


@pytest.mark.parametrize("place", ["option", "variable", "ini"])
@pytest.mark.parametrize("pair", ["key={}", "{}"])
def test_a_value_in_place_of_its_variables_name_is_not_shown(
    lab: pytest.Pytester, place: str, pair: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake that is easily made: the error must not print the value for all to see."""
    value = some(20)
    (lab.path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (lab.path / "__main__.py").touch()
    lab.makepyfile(test_it=_PREPARES)
    given = pair.format(value)
    if place == "variable":
        monkeypatch.setenv("K8SSEC_SECRET", given)
    elif place == "ini":
        lab.makeini(f"[pytest]\nk8ssec_secret = {given}\n")
    options = ("--k8ssec-secret", given) if place == "option" else ()
    result = lab.runpytest_subprocess("--k8ssec-stack=.", "-l", "-v", *options)
    told = result.stdout.str() + result.stderr.str()
    assert ("is not shown" if "key" in pair else "is not of the form") in told
    assert not any(value[at : at + 8] in told for at in range(13))


def test_what_a_project_declares_secret_and_gives_in_plain_is_not_shown(lab: pytest.Pytester) -> None:
    """Also where it stands deep in a value; and Pulumi's own passphrase, from its file."""
    default, deep, phrase = some(20), some(20), some(20)
    (lab.path / "Pulumi.yaml").write_text(
        f"name: shop\nruntime: python\nconfig:\n  a: {{secret: true, default: {default}}}\n  b: {{secret: true}}\n"
    )
    (lab.path / "Pulumi.k8ssec.yaml").write_text(f"config:\n  shop:b: {{x: [{{y: {deep}}}]}}\n")
    (lab.path / "phrase").write_text(phrase + "\n")
    lab.makepyfile(
        test_it="from pathlib import Path\nimport pytest\n"
        "@pytest.mark.parametrize('name', ['Pulumi.yaml', 'Pulumi.k8ssec.yaml', 'phrase'])\n"
        "def test_it(name): assert not Path(name).read_text()\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(lab.path / "phrase"))
        told = lab.runpytest_subprocess("--k8ssec-stack=.", "-vv").stdout.str()
    assert "assert not" in told
    assert not any(value[at : at + 8] in told for value in (default, deep, phrase) for at in range(13))


def test_plain_output_is_left_as_it_is(outputs: Outputs) -> None:
    """Ten secrets, documents among them, cut nothing out of what everybody may read."""
    text = "apiVersion: v1, kind: Config, TCP 10.0.0.1:6443 at ledger.payments:5432, -----BEGIN CERTIFICATE-----"
    told = outputs("-rA", test_it=f"def test_it(): print({text!r})\n")
    assert text in told["stdout"]
