"""SARIF 2.1.0, within what GitHub takes: a rule is a control, a result a breached case or a control that could not tell.

Source: the specification of OASIS; GitHub's documentation of SARIF support for code scanning, and of its limits.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any
from urllib.parse import quote

from pytest_k8ssec.reports.forms.reported import Reported, at_most, reported, severity_order, waiver_reason
from pytest_k8ssec.reports.result import Entry

RESULTS_MAX, TAGS_MAX, ZIPPED_MAX = 25_000, 20, 10_000_000
"""GitHub's limits: results of a run, tags of a rule, and of the whole file once it is gzipped."""
_TEXT_MAX, _TITLE_MAX = 4000, 1000
_ROOT = "%SRCROOT%"
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0"}
"""GitHub reads them as critical from 9.0, high from 7.0, medium from 4.0."""
_LEVELS = {"medium": "warning", "low": "warning"}


def sarif_document(report: Mapping[str, Any], most: int = RESULTS_MAX) -> dict[str, Any]:
    """The log, with as many results as GitHub takes, the worst first.

    Args:
        report: as report.json has it.
        most: results.
    """
    found = reported(report)
    most = min(len(found), most)
    made = _log(report, found, most)
    while most and len(gzip.compress(json.dumps(made).encode(), compresslevel=1)) > ZIPPED_MAX:
        most //= 2
        made = _log(report, found, most)
    return made


def _log(report: Mapping[str, Any], found: Sequence[Reported], most: int) -> dict[str, Any]:
    shown, left = found[:most], len(found) - most
    entries: dict[str, Entry] = {}
    for each in sorted(shown, key=lambda one: severity_order(one.severity)):
        entries.setdefault(each.control, each.entry)
    numbers = {name: number for number, name in enumerate(entries)}
    run = report["run"]
    part = f"{quote(str(run['stack']['project']), safe='')}/" if run["stack"].get("project") else ""
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "pytest-k8ssec",
                        "version": str(run["versions"].get("pytest-k8ssec", "0")),
                        "rules": [_rule(each) for each in entries.values()],
                    }
                },
                "automationDetails": {"id": f"k8ssec/{part}{run['id']}"},
                "originalUriBaseIds": {_ROOT: {"description": {"text": "the root of the project"}}},
                "invocations": [
                    {
                        # Whether the tool ended as it should, not whether it found something.
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            {"level": "warning", "message": {"text": f"{left} further results are in report.json only"}}
                        ]
                        if left
                        else [],
                    }
                ],
                "columnKind": "unicodeCodePoints",
                "results": [_result(each, numbers[each.control]) for each in shown],
            }
        ],
    }


def _rule(entry: Entry) -> dict[str, Any]:
    score = _SCORES.get(str(entry["severity"]))
    title = unlinked(at_most(str(entry["title"]) or str(entry["control"]), _TITLE_MAX))
    return {
        "id": str(entry["control"]),
        "name": at_most(str(entry["control"]), 255),
        "shortDescription": {"text": title},
        "fullDescription": {"text": title},
        "defaultConfiguration": {"level": _level(str(entry["severity"]))},
        "help": {"text": unlinked(str(entry["remediation"])) or title, "markdown": _help(entry, title)},
        "properties": {
            **({"security-severity": score} if score else {}),
            "precision": "very-high",  # an attack that got through is no guess
            "tags": _tags(entry),
        },
    }


def _tags(entry: Entry) -> list[str]:
    """Of each framework one after the other, as GitHub shows the first ten only."""
    named = [[f"{framework}/{each}" for each in ids] for framework, ids in entry["mappings"].items()]
    mixed = [tag for each in zip_longest(*named) for tag in each if tag is not None]
    return list(dict.fromkeys(["security", *mixed]))[:TAGS_MAX]


def _help(entry: Entry, title: str) -> str:
    parts = [title, str(entry["remediation"])]
    for each in entry["snippets"]:
        fence = fence_for(each["text"])
        parts.append(f"{fence}{each['language']}\n{each['text'].rstrip()}\n{fence}")
    return "\n\n".join(part for part in parts if part)


def fence_for(text: str) -> str:
    """A fence of Markdown that nothing in a text ends."""
    return "`" * max(3, 1 + max((len(each) for each in re.findall("`+", text)), default=0))


def _level(severity: str) -> str:
    return _LEVELS.get(severity, "error")


def _result(one: Reported, rule: int) -> dict[str, Any]:
    # Of what is not a failure the specification wants the level "none", so of "open" too; GitHub reads the level alone.
    kind, level = ("open", "none") if one.verdict == "inconclusive" else ("fail", _level(one.severity))
    justified = [
        {"kind": "external", "status": "accepted", "justification": at_most(waiver_reason(each), _TEXT_MAX)}
        for each in one.waivers
    ]
    return {
        "ruleId": one.control,
        "ruleIndex": rule,
        "kind": kind,
        "level": level,
        "message": {"text": unlinked(at_most(one.words, _TEXT_MAX))},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(one.path, safe="/"), "uriBaseId": _ROOT},
                    "region": {"startLine": one.line},
                }
            }
        ],
        "partialFingerprints": {"k8ssecLasting/v1": one.fingerprint},
        **({"suppressions": justified} if justified else {}),
    }


def unlinked(text: str) -> str:
    """A text that a viewer makes no link of: ``[text](target)`` is one also in plain text of SARIF."""
    return text.replace("](", "] (")
