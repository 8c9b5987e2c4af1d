"""report.json's JSON Schema: real documents meet it, others don't, and it says what the documentation says."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from docs import report_fields
from docs.report_fields import Record
from pytest_k8ssec.catalogue.annotated import control_of
from pytest_k8ssec.controls.etcd.client_auth import test_etcd_client_auth as etcd_client_auth
from pytest_k8ssec.reports.compare import Became, Changed
from pytest_k8ssec.reports.forms.document import schema_text
from pytest_k8ssec.reports.forms.paths import project_files
from pytest_k8ssec.reports.json import report_document
from pytest_k8ssec.reports.result import Result
from pytest_k8ssec.sabotages.phases import Phase, PhaseName
from pytest_k8ssec.verdict import Verdict
from tests.unit.reports.test_reports import RUN, judge

DEFINED = {
    "result": report_fields.RESULT,
    "attack": report_fields.ATTEMPT,
    "positive": report_fields.ATTEMPT,
    "blame": report_fields.BLAME,
    "culprit": report_fields.CULPRIT,
    "waived": report_fields.WAIVED,
    "waiver": report_fields.WAIVER,
    "table": report_fields.TABLE,
    "reachability": report_fields.REACHABILITY,
}


@cache
def closed() -> Any:
    """The schema, in which what it doesn't name is an error too: what is written now has nothing else."""

    def close(part: Any) -> Any:
        if isinstance(part, list):
            return [close(each) for each in part]
        if not isinstance(part, dict):
            return part
        made = {key: close(each) for key, each in part.items()}
        named = isinstance(made.get("properties"), dict) and "type" in made
        return {"additionalProperties": False, **made} if named else made

    schema = close(json.loads(schema_text()))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


def document(
    verdict: Verdict = Verdict.BREACHED, phase: PhaseName | None = None, *, own: bool = False
) -> dict[str, Any]:
    """As a run writes it, read again."""
    records = judge(through=True)
    records.note("a note")
    records.table("doors").put("front", "by night", records.attacks[0].evidence, breach=True)
    control = None if own else control_of(etcd_client_auth)
    made = Result.of(control, "test_x", Phase(phase), verdict, "why", 1.5, records).to_json()
    change = Changed(Became.NEW, "a", "high", "words")
    since = {"baseline": "old.json", "changes": [change.to_json()], "unjudged": 0}
    run = {
        **RUN,
        "reachability": [],
        "reach": [],
        "since": None if own else since,
        "project": project_files(Path(), Path("infra"), None, None),
    }
    return dict(json.loads(json.dumps(report_document(run, [made]))))


@pytest.mark.parametrize("phase", [None, "intact", "sabotaged", "restored"])
@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("own", [False, True])
def test_what_is_written_meets_it(verdict: Verdict, phase: PhaseName | None, own: bool) -> None:
    """Every verdict in every phase, and nothing that it doesn't name."""
    closed().validate(document(verdict, phase, own=own))


@pytest.mark.parametrize("name", DEFINED)
def test_every_kind_of_record_meets_it(name: str) -> None:
    """As the documentation has samples of each."""
    for sample in DEFINED[name].samples:
        if DEFINED[name] is not report_fields.ATTEMPT or ("through" in sample) is (name == "attack"):
            part = {"$ref": f"#/$defs/{name}", "$defs": closed().schema["$defs"]}
            jsonschema.Draft202012Validator(part).validate(sample)


@pytest.mark.parametrize("name", DEFINED)
def test_it_explains_each_field_as_the_documentation_does(name: str) -> None:
    """The same fields, in the same words."""
    record: Record = DEFINED[name]
    told = {key: each["description"] for key, each in json.loads(schema_text())["$defs"][name]["properties"].items()}
    other = {"attack": {"succeeded"}, "positive": {"through", "waived", "severity", "used"}}.get(name, set())
    assert {key: words for key, words in record.meaning.items() if key not in other} == told


@pytest.mark.parametrize(
    "spoil",
    [
        lambda report: report.update(schema=2),
        lambda report: report.pop("run"),
        lambda report: report["run"].pop("id"),
        lambda report: report["run"].update(started=1),
        lambda report: report["results"][0].update(verdict="HELD"),
        lambda report: report["results"][0].update(phase=""),
        lambda report: report["results"][0].update(bystander=None),
        lambda report: report["results"][0].pop("reason"),
        lambda report: report["results"][0].update(extra=1),
        lambda report: report["results"][0]["attacks"][0].update(through="false"),
        lambda report: report["results"][0]["attacks"][0].update(through=0),
        lambda report: report["results"][0]["attacks"][0].pop("at"),
        lambda report: report["results"][0]["positives"][0]["source"].update(kind="host"),
    ],
)
def test_another_shape_does_not(spoil: Callable[[dict[str, Any]], object]) -> None:
    """What a reader relies on can't be missing, or be something else."""
    report = copy.deepcopy(document())
    closed().validate(report)
    spoil(report)
    assert [*closed().iter_errors(report)]
