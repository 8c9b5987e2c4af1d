"""The corpus of stacks: what is expected is readable and whole, and a run is compared with all of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.corpus.compare import Row, compare, summary
from bench.corpus.expected import CORPUS, FILE, Entry, Expectation, corpus, judging_stacks, read
from bench.corpus.run import ran, sources
from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.verdict import Verdict


def attack(case: str, *, through: bool | None = True, detail: str = "") -> dict[str, Any]:
    """One attack of a report."""
    return {"case": case, "what": "try", "through": through, "detail": detail}


def result(verdict: str, *attacks: dict[str, Any], positives: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """One result of a report, whose cases were all shown but for those in ``positives``."""
    shown = [{"case": each["case"], "succeeded": True} for each in attacks]
    return {
        "control": "wl-netraw",
        "verdict": verdict,
        "reason": "why\nand further",
        "attacks": [*attacks],
        "positives": [*shown, *positives],
    }


def got(expected: Expectation, *results: dict[str, Any], why: str = "") -> str:
    """What the comparison says of one expectation."""
    (row,) = compare(Entry(Path("shop"), "one", "another", (), {}, (expected,)), results, why)
    return row.got


def breached(*subjects: str, names: tuple[str, ...] = ()) -> Expectation:
    """That the control is breached, by these."""
    return Expectation("wl-netraw", Verdict.BREACHED, "a reason", subjects, names)


HELD = Expectation("wl-netraw", Verdict.HELD, "a reason")


def test_the_same_verdict_about_the_same_subjects_is_right() -> None:
    """Each subject accused, nobody else, and all that was to be named."""
    told = result(
        "breached", attack("Deployment shop/web, container a", detail="of ConfigMap shop/x"), attack("b", through=False)
    )
    assert "breached" == got(breached("shop/web", names=("ConfigMap shop/x",)), told)
    assert "held" == got(HELD, result("held", attack("a", through=False)))


@pytest.mark.parametrize(
    ("subjects", "difference"),
    [
        (("shop/web", "shop/api"), "breached, but not of shop/api"),
        (("shop/we",), "breached, but not of shop/we, also of Deployment shop/web, container a"),
        (("op/web",), "breached, but not of op/web, also of Deployment shop/web, container a"),
    ],
)
def test_another_subject_is_a_difference(subjects: tuple[str, ...], difference: str) -> None:
    """One that was spared, one that was accused wrongly; half a name is another name."""
    assert difference == got(breached(*subjects), result("breached", attack("Deployment shop/web, container a")))


def test_a_subject_may_end_before_what_chance_adds() -> None:
    """As the name of a pod does."""
    assert "breached" == got(breached("of pod web-"), result("breached", attack("container a of pod web-x2z")))
    assert "breached" == got(breached("shop/web"), result("breached", attack("shop/web-5f7 at 10.0.0.1:80")))


def test_what_is_not_named_is_a_difference() -> None:
    """Also where only an attack that failed names it."""
    told = result("breached", attack("a"), attack("a", through=False, detail="ConfigMap shop/x"))
    assert "breached, without naming ConfigMap shop/x" == got(breached("a", names=("ConfigMap shop/x",)), told)


def test_another_verdict_is_a_difference_that_says_of_what() -> None:
    """Or why, where it is about no case."""
    assert "breached (a)" == got(HELD, result("breached", attack("a")))
    assert "not-applicable (why)" == got(HELD, result("not-applicable"))
    assert "held (why)" == got(breached("a"), result("held", attack("a", through=False)))
    assert "inconclusive (b)" == got(
        HELD, result("inconclusive", attack("a", through=False), attack("b", through=None))
    )


def test_inconclusive_is_about_what_can_not_be_told() -> None:
    """An attack without an answer, a positive control that failed, and a case that has only one of both."""
    expected = Expectation("wl-netraw", Verdict.INCONCLUSIVE, "a reason", ("b", "c", "d"))
    told = result(
        "inconclusive",
        attack("a", through=False),
        attack("b", through=None),
        attack("c", through=False),
        positives=({"case": "c", "succeeded": False}, {"case": "d", "succeeded": True}),
    )
    assert "inconclusive" == got(expected, told)
    assert "inconclusive, also of d" == got(
        Expectation("wl-netraw", Verdict.INCONCLUSIVE, "a reason", ("b", "c")), told
    )


def test_a_control_without_a_result_is_never_right() -> None:
    """Nor is one whose run came to no report."""
    assert "no verdict: pytest ended with 3" == got(HELD, why="pytest ended with 3")
    assert "no verdict" == got(HELD, {**result("held"), "control": "another"})


def test_the_summary_tells_the_worst_apart() -> None:
    """Held that was not earned is another matter than a wrong accusation."""
    rows = [
        Row("a", "x", "held", "held", "r"),
        Row("a", "x", "breached", "held (why)", "r"),
        Row("b", "x", "breached", "breached, also of c", "r"),
        Row("b", "x", "held", "no verdict", "r"),
        Row("b", "y", "inconclusive", "inconclusive", "r"),
    ]
    assert summary(rows) == (
        "2 of 5 as expected, on 2 stacks; 1 held that was not earned, 1 breached of something else or wrongly, "
        "1 others; 1 inconclusive in all"
    )
    assert "a: x: held (why); right is breached, as r" == rows[1].line


def test_the_corpus_is_whole() -> None:
    """Every control that judges a stack, on a dozen stacks; hardly any may be unable to tell; each stack has its mistake."""
    entries = corpus()
    assert len(entries) >= 12
    assert {path.parent.name for path in CORPUS.glob("*/Pulumi.yaml")} == {entry.name for entry in entries}
    all_of_them = [each for entry in entries for each in entry.expected]
    untold = sum(each.verdict is Verdict.INCONCLUSIVE for each in all_of_them)
    assert untold <= 0.05 * len(all_of_them)
    for entry in entries:
        assert judging_stacks() <= {each.control for each in entry.expected}
        assert any(each.verdict is Verdict.BREACHED for each in entry.expected), entry.name


def written(folder: Path, **changes: Any) -> Path:
    """A stack like one of the corpus, but for this."""
    shutil.copytree(CORPUS / "database", folder)
    text = yaml.safe_load((folder / FILE).read_text())
    for key, value in changes.items():
        if value is None:
            del text[key]
        else:
            text[key] = value(text[key]) if callable(value) else value
    (folder / FILE).write_text(yaml.safe_dump(text))
    return folder


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"planted": None}, "missing or unknown: planted"),
        ({"oddity": ""}, "empty: oddity"),
        ({"surprise": "a"}, "missing or unknown: surprise"),
        ({"expected": lambda old: {k: v for k, v in old.items() if k != "wl-netraw"}}, "wl-netraw: missing"),
        ({"expected": lambda old: {**old, "wl-raw": old["wl-netraw"]}}, "wl-raw: missing, or no control"),
        ({"expected": lambda old: {**old, "wl-netraw": {"verdict": "fine", "reason": "r"}}}, "fine is no verdict"),
        ({"expected": lambda old: {**old, "wl-netraw": {"verdict": "held"}}}, "missing or unknown: reason"),
        ({"expected": lambda old: {**old, "wl-netraw": {"verdict": "breached", "reason": "r"}}}, "needs subjects"),
        (
            {"expected": lambda old: {**old, "wl-netraw": {"verdict": "held", "reason": "r", "subjects": ["a"]}}},
            "has no subjects",
        ),
    ],
)
def test_an_expectation_that_says_too_little_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    """With where it stands."""
    with pytest.raises(SettingsError, match=words) as caught:
        read(written(tmp_path / "stack", **changes))
    assert "stack/expected.yaml" in str(caught.value)


def test_a_report_of_the_same_sources_is_taken_again(tmp_path: Path) -> None:
    """Also where only what is expected of it changed; not where its program did."""
    entry, folder = read(written(tmp_path / "stack")), tmp_path / "report"
    folder.mkdir()
    results = [{"control": each.control, "verdict": "held"} for each in entry.expected]
    (folder / "report.json").write_text(json.dumps({"results": results}))
    (folder / "sources").write_text(sources(entry))
    came = ran(entry, folder)
    assert (came.again, [each["control"] for each in came.results]) == (True, [each.control for each in entry.expected])
    with (entry.folder / FILE).open("a") as file:
        file.write("# a remark\n")
    assert (folder / "sources").read_text() == sources(read(entry.folder))
    with (entry.folder / "Pulumi.yaml").open("a") as file:
        file.write("# a remark\n")
    assert (folder / "sources").read_text() != sources(read(entry.folder))


def test_a_run_that_comes_to_no_report_is_told_and_not_kept(tmp_path: Path) -> None:
    """A stack without its program ends it before there is a cluster."""
    entry, folder = read(written(tmp_path / "stack")), tmp_path / "report"
    (entry.folder / "Pulumi.yaml").unlink()
    came = ran(entry, folder)
    assert came.results == ()
    assert came.why.startswith("pytest ended with")
    assert "Pulumi.yaml" in (folder / "output").read_text()
    assert not (folder / "sources").exists()
