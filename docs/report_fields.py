"""The fields of report.json: names and types as the code writes them, and what each means.

A field that the code writes and nobody explains here, or the other way round, is an error.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.evidence.causes import Blame, Culprit, ObjectName
from pytest_k8ssec.reach.by_class import Extent
from pytest_k8ssec.reports.result import Result
from pytest_k8ssec.sabotages.phases import Phase
from pytest_k8ssec.settings.waivers import Waiver
from pytest_k8ssec.verdict import Judge, Verdict, Waived


@dataclass(frozen=True)
class Record:
    """One kind of object in report.json."""

    samples: tuple[Mapping[str, Any], ...]
    """What the code writes."""
    meaning: Mapping[str, str]
    """Field to what it means."""


def fields(record: Record) -> Iterator[str]:
    """A table of a record's fields, in the order in which the code writes them.

    Raises:
        ValueError: a field has no meaning here, or a meaning has no field.
    """
    written: dict[str, set[str]] = {}
    for sample in record.samples:
        for name, value in sample.items():
            written.setdefault(name, set()).add(_type(value))
    if strange := set(written) ^ set(record.meaning):
        raise ValueError(f"docs/report_fields.py: only written, or only explained: {', '.join(sorted(strange))}")
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    for name, types in written.items():
        yield f"| `{name}` | {' or '.join(sorted(types))} | {record.meaning[name]} |"


def _type(value: Any) -> str:
    names = {
        type(None): "null",
        bool: "boolean",
        int: "number",
        float: "number",
        str: "text",
        list: "list",
        dict: "object",
    }
    return names[type(value)]


def _judge() -> Judge:
    """A judge with one of everything on record."""
    judge = Judge()
    seen = Evidence(Source("pod", "shop/web"), "request", Outcome.HTTP, "detail", 403, 1.5, facts={"count": 1})
    case = judge.case("case")
    case.attack("attack", seen, through=False, severity="medium", used=[["name", "another name"]])
    case.positive("positive", seen, succeeded=True)
    culprit = Culprit(ObjectName("RoleBinding", "reporter", "batch"), "binds Role reporter", "infra/__main__.py:12")
    judge.blamed = (Blame("case", "attack", (culprit,)), Blame("another", "attack", (), "why"))
    judge.table("table").put("row", "column", seen, breach=False)
    case.attack("waived", seen, through=True)
    case.waived = {
        1: (Waived("case", "waived", "c*", "reason", "owner", "2027-01-31", "T-1", "pyproject.toml:1", "case"),)
    }
    unknown = judge.case("another")
    broken = Evidence(Source("node", "worker"), "request", Outcome.ERROR)
    unknown.attack("attack", broken, through=None)
    unknown.positive("positive", broken, succeeded=None)
    return judge


_STATE: Mapping[str, Any] = {
    **Waiver("id", "c*", "reason", "owner", dt.date(2027, 1, 31), "T-1", "pyproject.toml:1").to_json(),
    "state": "used",
    "ends_soon": False,
    "breaches": 1,
    "near": "",
}


def _result(phase: Phase) -> dict[str, Any]:
    made = Result("id", "title", "test", "cluster", phase, Verdict.HELD, "high", 1.0, "", _judge(), waivers=(_STATE,))
    written: dict[str, Any] = json.loads(json.dumps(made.to_json()))
    return written


_PLAIN = _result(Phase())

RESULT = Record(
    # Where a sabotage is in force, these are text; a pack can't be made up here, as its sabotages are controls' functions.
    ({**_PLAIN, "phase": "intact", "sabotage": "name", "pack": "name"}, _PLAIN),
    {
        "control": "the control's id; of your own test, its name",
        "title": "what is asserted, in one sentence",
        "test": "the test's name, with its phase",
        "subject": "`cluster` or `stack`; empty for your own test",
        "cluster": "the name of the cluster that was judged; empty where none was",
        "phase": "null, or `intact`, `sabotaged`, `restored`",
        "sabotage": "the sabotage that is to change this control's verdict; the pack's name if none or several are; or null",
        "bystander": "whether the sabotage belongs to another control",
        "sabotages": "names of those in the pack that are to change this control's verdict",
        "own_sabotages": "names of those in the pack that are made for it",
        "missing": "by sabotage: what it should have made the control name, in an attack that got through, and did not",
        "pack": "what was in force together: the sabotage's own name, or the pack's; or null",
        "expected": "the verdict that this phase asks for",
        "verdict": "`held`, `breached`, `inconclusive`, `not-applicable`, `waived`",
        "severity": "`critical`, `high`, `medium`, `low`: what the control says, or less where all that got through is less; empty for your own test",
        "seconds": "of the test itself, without what it shares with others",
        "summary": "one line",
        "reason": "why it is not held, one reason a line; empty where it held",
        "whole": "whether the test came to its end; what it did not get to is not known",
        "doubts": "of what is breached or waived: what is not known beside that, the first of it",
        "attacks": "all attacks that were recorded",
        "positives": "all positive controls that were recorded",
        "blamed": "of each breached case: who let the attack through; asked only after the breach",
        "changed": "by sabotage in force: the objects that it changed, where it says so",
        "waived": "each attack that got through and that somebody answers for, see below",
        "waivers": "the waivers of this control, see below; none under a sabotage",
        "place": "`file:line` of your own test; empty of a control",
        "notes": "such as the exceptions that were declared",
        "coverage": "of the combinations of the control's dimensions: how many exist, were tried, are spoken for by one of their class, left out or absent by evidence; the first hundred that were not tried, and of those where nothing is, with the reason; null where none is known",
        "graphs": "of blast-radius: what is within reach of each workload, as `k8ssec blast --json` writes it, without the edges that were refuted",
        "tables": "answers by row and column, where a control has many of a kind",
        "remediation": "in words",
        "snippets": "the same to paste: `language` (`yaml`, `python`, `sh`) and `text` of each",
        "mappings": "ids by framework: `cis`, `nsa`, `mitre`, `owasp`, `others`",
    },
)
"""An entry of ``results``."""

BLAME = Record(
    tuple(_PLAIN["blamed"]),
    {
        "case": "what was breached",
        "finding": "what is, in a sentence; the control's title is what ought to be",
        "culprits": "the objects that let the attack through, see below; empty where none was found",
        "not_found": "why no culprit is named; empty where one is",
        "place": "`file:line` to look at first: a culprit's; else of your own test its line, of a control of the cluster your kind.yaml",
    },
)
"""An entry of a result's ``blamed``."""

CULPRIT = Record(
    tuple(one for each in _PLAIN["blamed"] for one in each["culprits"]),
    {
        "kind": "the object's kind; of a setting of the cluster, the program that has it",
        "namespace": "empty for an object of the cluster",
        "name": "the object's name",
        "field": "the field of it that is to blame; empty for the object as a whole",
        "how": "what it does, in words",
        "place": "`file:line` that declares it; empty where nobody knows, as of what is not the stack's",
    },
)
"""An entry of ``culprits`` in a result's ``blamed``."""

WAIVED = Record(
    tuple(_PLAIN["waived"]),
    {
        "case": "what was breached",
        "attack": "what got through",
        "subject": "the waiver's, a glob",
        "reason": "why that may be",
        "owner": "who answers for it",
        "expires": "the last day on which it is waived, in UTC",
        "ticket": "where it is followed up; may be empty",
        "place": "where the waiver is written",
        "lasting": "the breach without what is drawn anew for each cluster: the same in each run",
    },
)
"""An entry of a result's ``waived``."""

WAIVER = Record(
    tuple(_PLAIN["waivers"]),
    {
        "control": "whose it is",
        **{
            name: meaning
            for name, meaning in WAIVED.meaning.items()
            if name in ("subject", "reason", "owner", "expires", "ticket", "place")
        },
        "state": "`used`; `expired`; `unused`, as nothing that it is about is breached; `nothing`, as nothing has such a name; `unclear`, as the control could not tell",
        "ends_soon": "whether it ends within 14 days",
        "breaches": "how many attacks that it is about got through",
        "near": "the name that was probably meant, where nothing has the subject's",
    },
)
"""An entry of a result's ``waivers``."""

ATTEMPT = Record(
    (*_PLAIN["attacks"], *_PLAIN["positives"]),
    {
        "case": "what was attacked",
        "what": "what was tried, or shown",
        "through": "of an attack: true, false, or null where it can't be told",
        "used": "of an attack: each thing that it used, by all its names, where it can be waived by that",
        "waived": "of an attack: true where it got through and somebody answers for that; else it is not there",
        "severity": "of an attack: how bad it is if it gets through, where that is less than what its control says",
        "succeeded": "of a positive control: true, false, or null where it can't be told",
        "source": "`kind` (`pod`, `node`, `outside`, `client`), `name`, `address`, `node`, `identity`",
        "request": "in words that a reader can repeat",
        "outcome": "what came back: see [verdicts](../explanation/verdicts.md#evidence)",
        "detail": "the peer's own words, shortened; where there are any",
        "status": "HTTP status, where there is one",
        "latency_ms": "where it was measured",
        "at": "when, in UTC",
        "facts": "further values that a reader needs, where there are any",
    },
)
"""An attack or a positive control."""

TABLE = Record(
    tuple(_PLAIN["tables"]),
    {
        "title": "what the table shows",
        "columns": "their names",
        "rows": "of each: `row`, its name, and `cells`, an answer for each column: a status or an outcome, empty where nothing was asked. `!` follows a breach, `?` what can't be told",
    },
)
"""A control's table of answers."""


def _extent(seed: int | None) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(json.dumps(asdict(Extent(seed, 1, 1, 1, 1, 1, 1, 1, 1, 1, ("words",)))))
    return written


REACHABILITY = Record(
    (_extent(1), _extent(None)),
    {
        "seed": "what chose the pods that were measured: `--k8ssec-reach-seed` repeats it; null where all were",
        "source_classes": "how many classes there are of sources; nodes, pods without labels and foreign ones have none",
        "sources_measured": "of the sources that have a class: how many connected",
        "sources_by_class": "and how many did not, and have the answers of their class",
        "target_classes": "how many classes there are of ports of pods; ports of nodes and Services have none",
        "targets_measured": "of the ports that have a class: how many were connected to from pods",
        "targets_by_class": "and how many were not",
        "measured": "connections that were tried",
        "by_class": "connections that were not, and have the answer of one that was",
        "untold": "connections that were not, and of which nothing follows: they are unknown",
        "unlike": "each difference within a class: a connection that was tried and has another answer than its class",
    },
)
"""An entry of ``run.reachability``, and ``extent`` of what ``k8ssec reach --json`` writes."""
