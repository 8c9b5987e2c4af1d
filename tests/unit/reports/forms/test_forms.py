"""Other forms of a result: valid, within the hosts' limits, and safe whatever a name holds."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pytest_k8ssec.reports.forms.actions import for_actions
from pytest_k8ssec.reports.forms.annotations import EACH_MAX, annotation_lines
from pytest_k8ssec.reports.forms.code_quality import code_quality
from pytest_k8ssec.reports.forms.every import texts_of, write_forms
from pytest_k8ssec.reports.forms.markdown import summary_markdown
from pytest_k8ssec.reports.forms.paths import placed, project_files
from pytest_k8ssec.reports.forms.reported import reported
from pytest_k8ssec.reports.forms.sarif import RESULTS_MAX, TAGS_MAX, sarif_document
from pytest_k8ssec.reports.json import report_document
from pytest_k8ssec.secrecy.redact import register

SCHEMAS = Path(__file__).parents[3] / "schemas"
PROJECT = {"root": "/repo", "here": "infra", "stack": "infra/Pulumi.yaml", "cluster": "infra/kind.yaml", "settings": ""}
RUN: dict[str, Any] = {
    "id": "45a8aa50", "started": "2030-01-02T03:04:05Z", "seconds": 98.1,
    "cluster": {"name": "k8ssec-45a8aa50", "origin": "user"}, "stack": {"project": "shop"}, "reachability": [],
    "project": PROJECT, "versions": {"pytest-k8ssec": "0.1.0"}, "host": {},
    "ended": {"status": "passed", "without_verdict": []},
}  # fmt: skip
WAIVER = {
    "subject": "*", "reason": "public site", "owner": "team web", "expires": "2031-01-31", "ticket": "OPS-7",
    "place": "pyproject.toml:3", "lasting": "x",
}  # fmt: skip


def attack(case: str, what: str = "knock", *, waived: bool = False) -> dict[str, Any]:
    """One that got through."""
    seen = {
        "source": {"kind": "pod", "name": case},
        "request": what,
        "outcome": "open",
        "detail": what,
        "at": "2030-01-02T03:04:05Z",
    }
    return {"case": case, "what": what, "through": True, **({"waived": True} if waived else {}), **seen}


def blame(case: str, *places: str, place: str = "", finding: str = "") -> dict[str, Any]:
    """Who let it through, at these places."""
    culprits = [
        {"kind": "Role", "namespace": "", "name": "x", "field": "", "how": "", "place": each} for each in places
    ]
    return {
        "case": case, "finding": finding or f"{case} is open", "culprits": culprits, "not_found": "", "place": place
    }  # fmt: skip


def result(control: str = "net-door", verdict: str = "breached", **more: Any) -> dict[str, Any]:
    """A result as in report.json."""
    return {
        "control": control, "title": "The door is shut", "test": f"test_{control}", "subject": "cluster", "phase": None, "place": "",
        "verdict": verdict, "severity": "high", "summary": "1 attack", "reason": "why", "attacks": [], "positives": [],
        "blamed": [], "waived": [], "waivers": [], "notes": [], "doubts": [], "tables": [], "coverage": None, "seconds": 1.5,
        "sabotage": None, "remediation": "Shut it.", "snippets": [], "mappings": {"cis": ["2.2"]}, **more,
    }  # fmt: skip


def report(*results: dict[str, Any], **run: Any) -> dict[str, Any]:
    """The document, made as a run makes it."""
    return report_document({**RUN, **run}, results)


@cache
def sarif_schema() -> jsonschema.Draft4Validator:
    """The official one."""
    return jsonschema.Draft4Validator(json.loads((SCHEMAS / "sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8")))


def results_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of a log that is valid, and in which each has what GitHub wants."""
    made = sarif_document(document)
    sarif_schema().validate(made)
    (run,) = made["runs"]
    for each in run["results"]:
        (place,) = each["locations"]
        where = place["physicalLocation"]
        assert where["artifactLocation"]["uri"]
        assert not where["artifactLocation"]["uri"].startswith(("/", ".."))
        assert where["artifactLocation"]["uriBaseId"] in run["originalUriBaseIds"]
        assert 1 <= where["region"]["startLine"]
        assert re.fullmatch("[0-9a-f]{64}", each["partialFingerprints"]["k8ssecLasting/v1"])
        assert each["ruleId"] == run["tool"]["driver"]["rules"][each["ruleIndex"]]["id"]
    assert all(len(rule["properties"]["tags"]) <= TAGS_MAX for rule in run["tool"]["driver"]["rules"])
    return list(run["results"])


def where(document: dict[str, Any]) -> list[tuple[str, int]]:
    """File and line of each result."""
    found = [each["locations"][0]["physicalLocation"] for each in results_of(document)]
    return [(unquote(each["artifactLocation"]["uri"]), each["region"]["startLine"]) for each in found]


# -- SARIF ------------------------------------------------------------------------------------------------------------


def test_a_result_for_each_breached_case_and_each_control_that_could_not_tell() -> None:
    """What held, was not applicable or was breached on purpose is not there."""
    made = report(
        result("a", attacks=[attack("front"), attack("front", "kick"), attack("back")]),
        result("b", "inconclusive", reason="no probe"),
        result(
            "c", "waived", attacks=[attack("side", waived=True)], waived=[{**WAIVER, "case": "side", "attack": "knock"}]
        ),
        result("d", "held"),
        result("e", "not-applicable"),
        *(result("f", phase=each, attacks=[attack("x")]) for each in ("sabotaged", "restored")),
    )
    found = results_of(made)
    assert [("a", "fail"), ("a", "fail"), ("b", "open"), ("c", "fail")] == [
        (each["ruleId"], each["kind"]) for each in found
    ]
    assert [
        {"kind": "external", "status": "accepted", "justification": "public site (team web, until 2031-01-31, OPS-7)"}
    ] == found[3]["suppressions"]
    assert not any("suppressions" in each for each in found[:3])
    assert "k8ssec/shop/45a8aa50" == sarif_document(made)["runs"][0]["automationDetails"]["id"]


def test_what_is_no_failure_has_the_level_none() -> None:
    """The specification's own rule (3.27.10), which its schema can't say."""
    found = results_of(
        report(
            result("b", "inconclusive"),
            *(result(each, severity=each, attacks=[attack("x")]) for each in ("critical", "high", "medium", "low")),
        )
    )
    assert {"critical": "error", "high": "error", "medium": "warning", "low": "warning", "b": "none"} == {
        each["ruleId"]: each["level"] for each in found
    }


def test_a_rule_says_how_bad_it_is_and_what_fixes_it() -> None:
    """By the numbers that GitHub reads; a test of one's own has none."""
    text = "kind: X\n```\nstill inside\n"
    many = {"cis": ["2.2"], "others": [f"C-{number}" for number in range(40)]}
    made = report(
        result("a", attacks=[attack("x")], snippets=[{"language": "yaml", "text": text}], mappings=many),
        result("own", subject="", severity="", remediation="", mappings={}, attacks=[attack("x")]),
    )
    results_of(made)
    first, own = sarif_document(made)["runs"][0]["tool"]["driver"]["rules"]
    assert ("8.0", "very-high") == (first["properties"]["security-severity"], first["properties"]["precision"])
    assert ["security", "cis/2.2", "others/C-0", "others/C-1"] == first["properties"]["tags"][:4]
    assert f"````yaml\n{text}````" in first["help"]["markdown"]
    assert "security-severity" not in own["properties"]


@pytest.mark.parametrize(
    ("blamed", "subject", "there"),
    [
        (blame("x", "", "__main__.py:12"), "stack", ("infra/__main__.py", 12)),
        (blame("x", "/repo/app/rbac file.py:7"), "stack", ("app/rbac file.py", 7)),
        (blame("x", "../top.py:3"), "stack", ("top.py", 3)),
        (blame("x", place="kind.yaml"), "cluster", ("infra/kind.yaml", 1)),
        (blame("x", "/elsewhere/x.py:1", "../../out.py:2"), "stack", ("infra/Pulumi.yaml", 1)),
        (blame("x"), "stack", ("infra/Pulumi.yaml", 1)),
        (blame("x"), "cluster", ("infra/kind.yaml", 1)),
        (blame("x"), "", ("pyproject.toml", 1)),
    ],
)
def test_each_has_a_place_within_the_project(blamed: dict[str, Any], subject: str, there: tuple[str, int]) -> None:
    """The culprit's line; else the file that stands for what was judged."""
    assert [there] == where(report(result(subject=subject, attacks=[attack("x")], blamed=[blamed])))


def test_a_report_that_knows_no_files_has_places_all_the_same() -> None:
    """One of before."""
    assert ("pyproject.toml", 1) == placed({}, "cluster", [""])
    assert ("a.py", 3) == placed({}, "stack", ["a.py:3"])


def test_files_are_seen_from_the_root_of_the_repository(tmp_path: Path) -> None:
    """Wherever pytest was started."""
    (tmp_path / ".git").mkdir()
    stack = tmp_path / "team" / "infra"
    stack.mkdir(parents=True)
    (stack / "kind.yaml").touch()
    found = project_files(tmp_path / "team", Path("infra"), None, tmp_path / "team" / "pytest.ini")
    assert {
        "root": str(tmp_path), "here": "team", "stack": "team/infra/Pulumi.yaml", "cluster": "", "settings": "team/pytest.ini"
    } == {**found, "cluster": ""}  # fmt: skip
    assert "team/infra/kind.yaml" == project_files(tmp_path / "team", stack, None, None)["cluster"]


def test_the_same_breach_is_known_again_on_another_cluster() -> None:
    """Also once it is waived; another one is another."""

    def prints(cluster: str, case: str, **more: Any) -> list[str]:
        verdict = "waived" if more.get("waived") else "breached"
        made = report(result(verdict=verdict, attacks=[attack(case, **more)]), cluster={"name": cluster})
        return [each.fingerprint for each in reported(made)]

    first = prints("k8ssec-1a2b3c4d", "kubelet on k8ssec-1a2b3c4d-worker (172.18.0.3)")
    assert first == prints("mine", "kubelet on mine-worker (10.0.0.9)")
    assert first == prints("mine", "kubelet on mine-worker (10.0.0.9)", waived=True)
    assert first != prints("mine", "kubelet on mine-worker2 (10.0.0.9)")
    assert first != prints("mine", "kubelet on mine-worker (10.0.0.9)", what="kick")


def test_a_thawed_cluster_is_no_other_one_than_one_that_kind_made() -> None:
    """Its nodes keep the names that they were frozen with."""

    def prints(name: str, nodes: str, *whats: str) -> list[str]:
        case = f"API server on {nodes}-control-plane (172.18.0.2) from pod"
        made = report(
            result(attacks=[attack(case, what) for what in whats]),
            cluster={"name": name, "nodes": [f"{nodes}-control-plane"]},
        )
        return [each.fingerprint for each in reported(made)]

    first = prints("k8ssec-45a8aa50", "k8ssec-45a8aa50", "ask", "knock")
    assert first == prints("k8ssec-9d5aa61e", "k8ssec-frozen-72c2d7c9-9d5aa61e", "ask", "knock")
    assert first == prints("dev", "dev", "knock", "ask")
    assert first != prints("dev", "dev", "knock")


def test_what_is_alike_but_for_a_pods_name_is_one() -> None:
    """Hosts would show one alert each time anyway, with the words of any."""
    cases = [f"pod web/shop-7c9f5d6b4-{end}" for end in ("x2k4q", "b8d9f")]
    (one,) = reported(report(result(attacks=[attack(each) for each in cases])))
    assert one.words.endswith("(and 1 more like this)")


def test_no_more_results_than_github_takes() -> None:
    """The worst are kept, and how many are left out is said."""
    count = 40
    made = report(
        result("low", severity="low", attacks=[attack(f"case number {_letters(number)}") for number in range(count)]),
        result("bad", severity="critical", attacks=[attack("x")]),
    )
    (run,) = sarif_document(made, 35)["runs"]
    assert 25_000 == RESULTS_MAX
    assert (35, "bad") == (len(run["results"]), run["results"][0]["ruleId"])
    assert "6 further results" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]


def _letters(number: int) -> str:
    """A name that has nothing of what is drawn anew for each cluster."""
    return "".join("ghijklmnop"[int(each)] for each in str(number))


# -- the others ---------------------------------------------------------------------------------------------------------


def test_annotations_are_as_many_as_github_keeps() -> None:
    """Errors first; what is waived has none."""
    made = report(
        result("bad", attacks=[attack(f"door {_letters(number)}") for number in range(30)]),
        result("mild", severity="low", attacks=[attack(f"door {_letters(number)}") for number in range(30)]),
        result("w", "waived", attacks=[attack("x", waived=True)], waived=[{**WAIVER, "case": "x", "attack": "knock"}]),
    )
    lines = annotation_lines(made)
    assert [EACH_MAX, EACH_MAX] == [
        sum(each.startswith(f"::{level} ") for each in lines) for level in ("error", "warning")
    ]
    assert "title=w" not in "".join(lines)


def test_the_summary_of_a_step_is_added_within_what_is_left(tmp_path: Path) -> None:
    """And where it can't be written that is a line, not an error."""
    path = tmp_path / "summary"
    path.write_text("of another\n", encoding="utf-8")
    made = report(result(attacks=[attack("x")]))
    assert annotation_lines(made) == for_actions(made, {"GITHUB_STEP_SUMMARY": str(path)})
    assert path.read_text(encoding="utf-8").startswith("of another\n\n## Kubernetes security\n")
    path.write_text("x" * 999_500, encoding="utf-8")
    assert "left out" in for_actions(made, {"GITHUB_STEP_SUMMARY": str(path)})[-1]
    assert 999_500 == path.stat().st_size
    assert "could not be written" in for_actions(made, {"GITHUB_STEP_SUMMARY": str(tmp_path)})[-1]
    assert annotation_lines(made) == for_actions(made, {})


def test_a_summary_of_many_breaches_stays_small_and_says_what_it_left_out() -> None:
    """GitHub drops one that is too large."""
    made = report(result(attacks=[attack(f"{_letters(number)} {'long ' * 200}") for number in range(1000)]))
    assert len(summary_markdown(made).encode()) < 1_000_000
    assert "900 more: see report.json" in summary_markdown(made)
    assert len(summary_markdown(made, 3000).encode()) <= 3000


def test_gitlab_knows_what_is_waived_and_how_bad_the_rest_is() -> None:
    """Each fingerprint once."""
    made = report(
        result("a", severity="critical", attacks=[attack("x"), attack("y", waived=True)], waived=[{**WAIVER, "case": "y", "attack": "knock"}]),
        result("b", "inconclusive"),
    )  # fmt: skip
    found = code_quality(made)
    assert ["blocker", "minor", "info"] == [each["severity"] for each in found]
    assert "waived: public site (team web, until 2031-01-31, OPS-7)" in found[2]["description"]
    assert 3 == len({each["fingerprint"] for each in found})


HOSTILE = st.text(
    st.one_of(st.sampled_from("|\n\r%:,`[](){}<>!*_#&@\\~$\x1b\u202e\x00\u200b"), st.characters(codec="utf-8")), max_size=60
) | st.sampled_from(
    ["::error::x", "\n::set-env name=a::b", "%0A::stop-commands::x", "[x](https://evil)", "![x](https://evil/x.png)",
     "<img src=x>", "a | b\n| --- |", "www.evil.example", "https://evil.example", "`` ` ``", "\x1b[31m", "- x", "1. x"]
)  # fmt: skip


@settings(max_examples=120)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_no_name_gets_out_of_its_place_in_any_form(case: str, control: str, title: str) -> None:
    """No line of its own, no link, no markup, no control character; SARIF stays valid."""
    entry = result(control, title=title, attacks=[attack(case)], blamed=[blame(case, f"{case}.py:3", finding=case)])
    other = result(f"{control}2", "inconclusive", title=title, reason=case)
    waived = result(f"{control}3", "waived", attacks=[attack(case, waived=True)], waived=[{**WAIVER, "case": case, "attack": "knock", "reason": title, "owner": control}])  # fmt: skip
    made = report(entry, other, waived)
    results_of(made)
    texts = texts_of(made)
    for text in (*texts.values(), *annotation_lines(made)):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200b\u202e]", text)
    lines = annotation_lines(made)
    assert 2 == len(lines)
    assert all(re.fullmatch(r"::(error|warning) file=[^,:]*,line=\d+,title=[^,:]*::[^\n\r]*", each) for each in lines)
    tokens = MarkdownIt("commonmark").enable("table").parse(texts["summary.md"])
    kinds = {part.type for each in tokens for part in (each.children or [each])}
    assert not kinds & {"link_open", "image", "html_inline", "html_block", "code_inline", "em_open", "fence"}
    assert 3 * 4 * 2 == sum(each.type in ("th_open", "td_open") for each in tokens)
    assert 3 == sum(each.type == "table_open" for each in tokens)


def test_no_secret_is_in_any_form(tmp_path: Path) -> None:
    """Redacted as report.json is, as they are made from it."""
    secret = register("correct-horse-battery-9")
    made = report(
        result(secret, title=secret, reason=secret, remediation=secret, attacks=[attack(secret)], blamed=[blame(secret, finding=secret)])
    )  # fmt: skip
    for path in write_forms(tmp_path, texts_of(made)):
        assert secret not in path.read_text(encoding="utf-8")
    assert secret not in "".join(annotation_lines(made))
