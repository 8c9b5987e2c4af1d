"""The matrix of sabotages and controls: what each pair says, and that the picture shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_k8ssec.reports import sabotage_matrix
from pytest_k8ssec.reports.page.written import report_page
from tests.unit.reports.forms.test_forms import report, result


def entry(control: str, phase: str, verdict: str, sabotage: str | None = None, **more: Any) -> dict[str, Any]:
    """As much of a result as the matrix reads."""
    base: dict[str, Any] = {"control": control, "phase": phase, "verdict": verdict, "pack": sabotage, "missing": {}}
    names = [sabotage] if sabotage else []
    return {
        **base,
        "sabotage": sabotage,
        "sabotages": names,
        "own_sabotages": names,
        "expected": "breached" if phase == "sabotaged" else "held",
        **more,
    }


RUN = [
    entry("door", "intact", "held"),
    entry("roof", "intact", "held"),
    entry("wall", "intact", "held"),
    entry("door", "sabotaged", "breached", "unlock", pack="live-pack-1"),
    entry("roof", "sabotaged", "held", "lift", pack="live-pack-1"),
    entry("wall", "sabotaged", "held", pack="live-pack-1", expected="held"),
    entry("door", "restored", "held", "unlock", pack="live-pack-1"),
    entry("roof", "restored", "held", "lift", pack="live-pack-1"),
]


@pytest.mark.parametrize(
    ("expected", "verdict", "result"),
    [
        ("breached", "breached", "killed"),
        ("breached", "held", "survived"),
        ("breached", "inconclusive", "survived"),
        ("breached", "not-applicable", "survived"),
        ("held", "breached", "unexpected"),
        ("held", "inconclusive", "unclear"),
        ("held", "held", "unmoved"),
        ("inconclusive", "inconclusive", "blinded"),
        ("inconclusive", "held", "unearned"),
        ("inconclusive", "breached", "unexpected"),
    ],
)
def test_what_a_pair_says(expected: str, verdict: str, result: str) -> None:
    """Nothing but a breach kills, and nothing unexpected is well."""
    assert result == sabotage_matrix.cell(entry("door", "sabotaged", verdict, "unlock", expected=expected))
    assert result in sabotage_matrix.MEANING


def test_what_had_nothing_to_judge_on_the_intact_cluster_survives_nothing() -> None:
    """It is proven elsewhere, or nowhere; its row says so. What was judged there, and no more is, survived."""
    there = entry("door", "sabotaged", "not-applicable", "unlock", expected="breached")
    assert "not-applicable" == sabotage_matrix.cell(there, "not-applicable")
    assert "survived" == sabotage_matrix.cell(there, "held")


def test_a_pack_gives_each_of_its_sabotages_a_row() -> None:
    """Its bystanders stand beside all of them; whom one of them touches stands beside none of the others."""
    found = sabotage_matrix.matrix(RUN)
    assert ["door", "roof", "wall"] == found["controls"]
    rows = {row["sabotage"]: row for row in found["sabotages"]}
    assert {"intact": "held", "sabotaged": "breached", "restored": "held"} == rows["unlock"]["verdicts"]
    assert {"door": "killed", "wall": "unmoved"} == {
        name: each["result"] for name, each in rows["unlock"]["cells"].items()
    }
    assert {"roof": "survived", "wall": "unmoved"} == {
        name: each["result"] for name, each in rows["lift"]["cells"].items()
    }
    assert (1, 1, 2) == tuple(found["counts"][name] for name in ("killed", "survived", "unmoved"))


def test_a_control_that_another_ones_sabotage_kills_stands_in_its_row() -> None:
    """A further kill that was announced."""
    further = entry("wall", "sabotaged", "breached", "unlock", pack="live-pack-1", own_sabotages=[])
    rows = sabotage_matrix.matrix([*RUN[:5], further])["sabotages"]
    assert [{"door", "wall"}, {"roof"}] == [set(row["cells"]) for row in rows]


def test_one_run_tells_of_each_sabotage_that_moves_the_control() -> None:
    """What it named is killed; what it was breached without naming has survived."""
    both: dict[str, Any] = {"pack": "live-pack-1", "sabotages": ["unlock", "pick"], "own_sabotages": ["unlock", "pick"]}
    ran = entry("door", "sabotaged", "breached", missing={"pick": ["the lock"]}, **both)
    rows = sabotage_matrix.matrix([RUN[0], ran, entry("door", "restored", "held", **both)])["sabotages"]
    assert {"unlock": "killed", "pick": "survived"} == {row["sabotage"]: row["cells"]["door"]["result"] for row in rows}
    assert [{"intact": "held", "sabotaged": "breached", "restored": "held"}] * 2 == [row["verdicts"] for row in rows]


def test_the_page_shows_what_went_wrong(tmp_path: Path) -> None:
    """As a part of report.html; names are text in it."""
    keys = ("sabotages", "own_sabotages")
    named = [{**one, **{key: [f"<{name}>" for name in one[key]] for key in keys}} for one in RUN]
    path = sabotage_matrix.write_matrix(tmp_path, sabotage_matrix.matrix(named))
    assert 8 == json.loads(path.read_text())["schema"] * len(sabotage_matrix.MEANING)
    page = report_page(report(*(result(**one) for one in named)))
    assert 2 == page.count("1 results are not as they must be")
    assert "&lt;unlock&gt;" in page
    assert "<unlock>" not in page


@pytest.mark.parametrize(
    ("verdicts", "blamed", "wrong"),
    [
        (("held", "breached", "held"), "exact", 0),
        (("waived", "breached", "waived"), "", 0),
        (("held", "breached", "breached"), "", 1),
        (("held", "breached", "inconclusive"), "", 1),
        (("held", "breached", None), "", 1),
        (("held", None, "held"), "", 1),
        (("inconclusive", "breached", "held"), "", 1),
        (("not-applicable",) * 3, "", 1),
        (("held", "breached", "held"), "other", 1),
        (("held", "held", "held"), "", 1),
    ],
)
def test_a_sabotage_that_is_not_shown_to_be_noticed_is_wrong(
    verdicts: tuple[str | None, ...], blamed: str, wrong: int
) -> None:
    """Also where its cell says killed; and each is counted once."""
    phases = zip(("intact", "sabotaged", "restored"), verdicts, strict=True)
    run = [
        entry("door", phase, verdict, "unlock" if phase != "intact" else None) for phase, verdict in phases if verdict
    ]
    found = sabotage_matrix.matrix(run)
    found["sabotages"][0]["blamed"] = blamed
    assert wrong == sabotage_matrix.wrong_results(found)


def _culprit(name: str, **more: str) -> dict[str, str]:
    return {"kind": "RoleBinding", "namespace": "shop", "name": name, "field": "", "how": "", "place": "", **more}


@pytest.mark.parametrize(
    ("named", "verdict", "said"),
    [
        ([_culprit("grant")], "breached", "exact"),
        ([_culprit("grant", field="subjects"), _culprit("of-another")], "breached", "exact"),
        ([_culprit("of-another")], "breached", "not found"),
        ([], "breached", "not found"),
        ([_culprit("grant"), _culprit("innocent")], "breached", "other"),
        ([_culprit("innocent")], "held", ""),
    ],
)
def test_whom_a_control_blames_is_compared_with_what_was_changed(
    named: list[dict[str, str]], verdict: str, said: str
) -> None:
    """An object that no sabotage in force changed is a wrong one, whatever else is named."""
    changed = {"unlock": ["RoleBinding shop/grant"], "lift": ["RoleBinding shop/of-another"]}
    blamed = [{"culprits": named}]
    one = entry("door", "sabotaged", verdict, "unlock", pack="live-pack-1", changed=changed, blamed=blamed)
    assert said == sabotage_matrix.blamed_by(one, "unlock")
    found = sabotage_matrix.matrix([*RUN[:3], one])
    assert found["blamed"] == {name: int(name == said) for name in sabotage_matrix.BLAMED}


def test_a_sabotage_that_does_not_say_what_it_changed_is_not_counted() -> None:
    """It changed no object, or a node's files."""
    assert sabotage_matrix.blamed_by(entry("door", "sabotaged", "breached", "unlock"), "unlock") == ""
