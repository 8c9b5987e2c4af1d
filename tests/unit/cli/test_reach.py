"""``k8ssec reach``: what it refuses before a cluster is made, what it shows, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pytest_k8ssec.cli import main
from pytest_k8ssec.cli import reach as command
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.plain import shown
from pytest_k8ssec.reach.matrix import Reachability
from pytest_k8ssec.reach.sampling import LIMIT, SAMPLED
from tests.unit.reach.reaching import Says, destination, only, reach

INTENT = "version: 1\nallow:\n- {from: web/shop, to: pay/api, reason: sales}\n"
POLICY = {
    "metadata": {"name": "p", "namespace": "pay"},
    "spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "shop"}}, "namespaceSelector": {}}]}]},
}  # fmt: skip


def found(says: Says, broken: Sequence[str] = ()) -> Reachability:
    """Two sources and one target."""
    return reach(("web/shop", "elsewhere"), [destination("pay/api", 8080)], says, policies=[POLICY], broken=broken)


HOLDS = found(only(("web/shop", "pay/api")))


@pytest.fixture(autouse=True)
def infra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack's directory in an empty project."""
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "infra"
    made.mkdir()
    (made / "Pulumi.yaml").write_text("name: infra\nruntime: python\n")
    return made


@pytest.fixture
def says(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """``says(*arguments, code=0, measured=...)``; without a measurement none may be begun."""

    def run(*arguments: str, code: int = 0, measured: Reachability | None = None) -> str:
        def measure(*_: object) -> Reachability:
            assert measured is not None, "a cluster would have been made"
            return measured

        monkeypatch.setattr(command, "_measured", measure)
        try:
            ended = main(["reach", *arguments])
        except SystemExit as exit_:
            ended = int(exit_.code or 0)
        output = "".join(capsys.readouterr())
        assert code == ended, output
        return output

    return run


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "stack: none was named"),
        (["--stack", "nowhere"], "nowhere: does not exist"),
        (["--stack", "infra", "--intent", "nowhere.yaml"], "nowhere.yaml: can't be read: No such file"),
        (["--stack", "infra", "--timeout", "0"], "'0' is not a number of seconds from 0.05 to 60"),
        (["--stack", "infra", "--propagation", "0"], "'0' is not a number from 1 to 100"),
        (["--stack", "infra", "--reach-limit", "some"], "'some' is not a whole number from 0 on, or all"),
        (["--stack", "infra", "--timeout", "soon"], "'soon' is not a number of seconds"),
    ],
)
def test_wrong_usage_is_known_before_a_cluster_is_made(
    says: Callable[..., str], arguments: list[str], expected: str
) -> None:
    """Nobody waits a minute for a typing mistake."""
    assert expected in says(*arguments, code=2)


def test_a_mistake_in_the_intent_is_told_with_its_line(says: Callable[..., str], infra: Path) -> None:
    """Also where the file is found beside Pulumi.yaml."""
    (infra / "intent.yaml").write_text(INTENT.replace("reason", "why"))
    assert "intent.yaml, line 3: a rule has no key `why`" in says("--stack", "infra", code=2)


def test_a_name_that_is_none_is_wrong_usage(says: Callable[..., str], infra: Path) -> None:
    """Known once it was measured."""
    (infra / "intent.yaml").write_text(INTENT.replace("pay/api", "pay/apo"))
    assert "line 3: to 'pay/apo': nothing has that name" in says("--stack", "infra", code=2, measured=HOLDS)


def test_where_all_agree_the_exit_code_is_0(says: Callable[..., str], infra: Path) -> None:
    """And it says what was compared."""
    assert "no difference; compared with the NetworkPolicies; no intent file" in says(
        "--stack", "infra", measured=HOLDS
    )
    (infra / "intent.yaml").write_text(INTENT)
    text = says("--stack", "infra", measured=HOLDS)
    assert "no difference; compared with the NetworkPolicies and" in text
    assert "intent.yaml" in text


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (found(lambda *_: Outcome.OPEN), "open, and nothing declares it"),
        (found(only()), "declared, and blocked"),
        (found(only(("web/shop", "pay/api")), broken=["elsewhere"]), "can't be told"),
    ],
    ids=["open", "closed", "unknown"],
)
def test_a_difference_is_1(says: Callable[..., str], infra: Path, measured: Reachability, expected: str) -> None:
    """So is what can't be told: it is no agreement."""
    (infra / "intent.yaml").write_text(INTENT)
    text = says("--stack", "infra", code=1, measured=measured)
    assert expected in text
    assert "1 difference;" in text


def test_what_was_measured_is_written(says: Callable[..., str], tmp_path: Path) -> None:
    """As a page and as JSON, into folders that need not be there; or to standard output, alone."""
    says("--stack", "infra", "--html", "out/a.html", "--json", "out/a.json", measured=HOLDS)
    assert (tmp_path / "out" / "a.html").read_text().startswith("<!doctype html>")
    told = json.loads((tmp_path / "out" / "a.json").read_text())
    assert ["open", "blocked"] == [cell["verdict"] for cell in told["cells"]]
    assert told == json.loads(says("--stack", "infra", "--json", "-", measured=HOLDS))


def test_help_teaches(says: Callable[..., str]) -> None:
    """What is measured, an intent file, and the exit codes."""
    text = says("--help")
    for words in ("who can really talk to whom", "version: 1", "exit codes: 0 all agree, 1 they differ", "--timeout S"):
        assert words in text
    assert f"With more than {LIMIT} pods" in text
    assert f"(default: {LIMIT}; all: never)" in " ".join(text.split())
    assert f"{SAMPLED} of the others" in text


def test_hostile_names_are_shown_escaped(tmp_path: Path, says: Callable[..., str]) -> None:
    """In the table, on the page and in the document: no name begins a row, or moves the cursor."""
    nasty = "web/x\x1b[2J\x1b]8;;a\x07\x00\r\u202e\u2028]]><script>\nROW"
    measured = reach(
        (nasty, "elsewhere"), [destination(nasty, 80)], only((nasty, nasty)), policies=[POLICY], broken=[nasty]
    )
    texts = [
        says("--stack", "infra", "--json", "out.json", "--html", "out.html", code=1, measured=measured),
        says("--stack", "infra", "--json", "-", code=1, measured=measured),
        *((tmp_path / name).read_text(encoding="utf-8") for name in ("out.json", "out.html")),
    ]
    for text in texts:
        assert shown(text) == text
        assert r"x1b[2J" in text
    assert "\nROW" not in "".join(texts[:3])
    assert "<script>" not in texts[3]
    assert "\x1b" not in str(json.loads(texts[2]))
