"""What others name and answer can't move the cursor, hide or reorder letters, or begin a line of its own."""

from __future__ import annotations

import ast
import unicodedata
from pathlib import Path

import pytest

import pytest_k8ssec
from pytest_k8ssec.cli import main
from pytest_k8ssec.cli.say import say, say_text
from pytest_k8ssec.errors import K8ssecError
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.plain import line, lines_of, progress_line, shown
from pytest_k8ssec.reports.attack import mermaid
from pytest_k8ssec.reports.write_whole import write_whole
from pytest_k8ssec.secrecy.redact import redact, register
from pytest_k8ssec.verdict import Judge

HOSTILE = {
    "\x1b[2J": r"\x1b[2J",
    "\x1b]8;;http://evil\x07here\x1b]8;;\x07": r"\x1b]8;;http://evil\x07here\x1b]8;;\x07",
    "\x9b31m": r"\x9b31m",
    "a\x00b": r"a\x00b",
    "held\rBREACHED": r"held\rBREACHED",
    "\b\b\x7f": r"\x08\x08\x7f",
    "gnp\u202e.exe": r"gnp\u202e.exe",
    "\u2066x\u2069": r"\u2066x\u2069",
    "ad\u200bmin": r"ad\u200bmin",
    "a\u2028b\u2029c\x85d": r"a\u2028b\u2029c\x85d",
    "\ud800": r"\ud800",
    "\U000e0041": r"\U000e0041",
    "\ufeffx": r"\ufeffx",
}


@pytest.mark.parametrize(("text", "expected"), HOSTILE.items())
def test_each_is_written_as_what_it_is(text: str, expected: str) -> None:
    """Visibly, once, in a text as in a line."""
    assert expected == shown(text) == line(text) == shown(shown(text))
    assert line(text) == line(line(text))


@pytest.mark.parametrize("text", ["", "web/api", "a\tb", "C:\\x1b", "Grüße, 世界 🙂", "x\n  y\n", "]]>", "<script>"])
def test_what_is_safe_stays_as_it_is(text: str) -> None:
    """The same object: a report has hundreds of thousands of them."""
    assert shown(text) is text


def test_only_a_text_has_newlines() -> None:
    """In a table a name must not begin a row."""
    assert ("a\nb", r"a\nb") == (shown("a\nb"), line("a\nb"))


def test_no_control_or_format_character_is_left_that_nobody_sees() -> None:
    """All of Unicode, but for the few format characters of scripts that are seen themselves."""
    visible = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13440)}
    for code in range(0x110000):
        letter = chr(code)
        if (
            unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
            and letter not in "\t\n"
            and code not in visible
        ):
            assert shown(letter) != letter, hex(code)
            assert shown(letter).isascii()


def test_values_are_safe_to_the_last_key() -> None:
    """Names are lines; only the keys that say so hold texts."""
    value = {"na\x1bme": ["a\nb", {"reason": "a\nb\x1b", "n": 1}], "reason": ["a\nb"], "none": None}
    assert {
        r"na\x1bme": [r"a\nb", {"reason": "a\nb\\x1b", "n": 1}],
        "reason": [r"a\nb"],
        "none": None,
    } == lines_of(value, texts=["reason"])


def test_errors_are_safe() -> None:
    """Message, fix and details, also where a tool's diagnostics have colours."""
    error = K8ssecError("cluster \x1b[2J: gone", fix="rm \u202e", details="\x1b[31mred\x1b[0m\nnext\r")
    assert "cluster \\x1b[2J: gone\n  fix: rm \\u202e\n  | \\x1b[31mred\\x1b[0m\n  | next" == str(error)


def test_a_reason_has_a_line_for_each_finding() -> None:
    """What a peer answered does not begin one."""
    judge = Judge()
    for name in ("door\nHELD: all is well", "window"):
        seen = Evidence(Source("client", "here"), "GET /", Outcome.HTTP, "\x1b[2J\nHELD")
        judge.case(name).attack("knock", seen, through=True)
    _, reason = judge.verdict()
    assert [r"door\nHELD: all is well: knock: ", "window: knock: "] == [
        each[: each.index("client")] for each in reason.split("\n")
    ]


def test_a_line_of_progress_does_not_pass_for_two() -> None:
    """What follows stands below its words."""
    first, second = progress_line(3, "removing x\nk8ssec     4s  all is well").split("\n")
    assert first.startswith("k8ssec     3s  removing")
    assert second.startswith(" " * 15)


def test_a_secret_is_known_in_this_form_too() -> None:
    """Where a text was made safe before it is redacted."""
    register("first\x1bhalf\nsecond\\half'\u202e")
    for form in (shown, line, str):
        assert "half" not in redact(form("<first\x1bhalf\nsecond\\half'\u202e>"))


def test_files_are_safe_as_a_whole(tmp_path: Path) -> None:
    """A page is opened by somebody."""
    text = "".join(HOSTILE)
    assert shown(text) == write_whole(tmp_path / "page.html", text).read_text(encoding="utf-8")


def test_labels_of_a_flowchart_end_where_they_should() -> None:
    """Neither quotes nor tags nor Mermaid's own codes get out."""
    hostile = 'x"] --> y; <script>&lt;#quot;`'
    body = {"nodes": [{"id": hostile}], "links": [], "graph": {"start": hostile, "path": []}}
    assert '  v0["x#quot;] --#gt; y; #lt;script#gt;#amp;lt;#35;quot;#96;"]' == mermaid(body).splitlines()[1]


def test_commands_say_lines_and_texts(capsys: pytest.CaptureFixture[str]) -> None:
    """Each line stays one; an error's text has several."""
    say("a\nb\x1b", "c")
    say_text("a\nb\x1b", error=True)
    out, err = capsys.readouterr()
    assert ("a\\nb\\x1b\nc\n", "a\nb\\x1b\n") == (out, err)


def test_the_error_of_a_command_is_safe(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever was typed, or named by others, comes back escaped."""
    assert main(["controls", "\x1b[2J"]) != 0
    assert main(["down", "x\x1b]0;t\x07"]) != 0
    assert "\x1b" not in capsys.readouterr().err


def test_nothing_else_prints() -> None:
    """A new way out goes through one of these; what runs in a pod or in a child talks to us, and not to a person."""
    root = Path(pytest_k8ssec.__file__).parent
    own = {
        "cli/say.py",
        "stack/child.py",
        "stack/node_host.py",
        "agent/remote/agent.py",
        "agent/remote/pod_listener.py",
        "agent/remote/sweeper.py",
    }
    for file in root.rglob("*.py"):
        if file.relative_to(root).as_posix() in own:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            assert not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"), (
                file
            )
            if isinstance(node, ast.Attribute) and node.attr == "write_line":
                assert file.name in {"summary.py", "session.py"}, file
