"""Compares what a run said of a stack with what is right for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.corpus.expected import Entry, Expectation
from pytest_k8ssec.verdict import Verdict

NONE = "no verdict"
"""What is got from a control that did not come to one."""
Result = Mapping[str, Any]
"""An entry of ``results`` in report.json."""


@dataclass(frozen=True, slots=True)
class Row:
    """One control on one stack."""

    stack: str
    control: str
    expected: str
    """Verdict."""
    got: str
    """The same verdict, word by word, only if it is right in all that was expected of it."""
    reason: str
    """Why what is expected is right."""

    @property
    def right(self) -> bool:
        """Whether there is no difference."""
        return self.got == self.expected

    @property
    def line(self) -> str:
        """The difference in a line."""
        return f"{self.stack}: {self.control}: {self.got}; right is {self.expected}, as {self.reason}"


def compare(entry: Entry, results: Iterable[Result], why: str = "") -> tuple[Row, ...]:
    """One row for each expectation of a stack.

    Args:
        entry: the stack.
        results: of its run; none where it came to no report.
        why: what is said of controls that have no result.
    """
    found = {result["control"]: result for result in results}
    none = f"{NONE}: {why}" if why else NONE
    return tuple(
        Row(
            entry.name,
            each.control,
            str(each.verdict),
            _got(each, found[each.control]) if each.control in found else none,
            each.reason,
        )
        for each in entry.expected
    )


def summary(rows: Sequence[Row]) -> str:
    """How many are right, and what the others are."""
    wrong = [row for row in rows if not row.right]
    held = sum(row.got.startswith(Verdict.HELD) for row in wrong)
    breached = sum(row.got.startswith(Verdict.BREACHED) for row in wrong)
    untold = sum(row.got.startswith(Verdict.INCONCLUSIVE) for row in rows)
    return (
        f"{len(rows) - len(wrong)} of {len(rows)} as expected, on {len({row.stack for row in rows})} stacks; "
        f"{held} held that was not earned, {breached} breached of something else or wrongly, "
        f"{len(wrong) - held - breached} others; {untold} inconclusive in all"
    )


def _got(expected: Expectation, result: Result) -> str:
    verdict = result["verdict"]
    if verdict != expected.verdict:
        cases = ", ".join(_cases(result)[:3])
        return f"{verdict} ({cases or _first_line(result)})" if cases or _first_line(result) else verdict
    if not expected.subjects:
        return str(verdict)
    told = _cases(result)
    differences = [
        *(f"but not of {word}" for word in expected.subjects if not any(_is_about(case, word) for case in told)),
        *(f"also of {case}" for case in told if not any(_is_about(case, word) for word in expected.subjects)),
        *(f"without naming {word}" for word in expected.names if word not in _said(result)),
    ]
    return ", ".join((verdict, *differences))


def _cases(result: Result) -> list[str]:
    """The cases that the verdict is about, each once: those that were breached, or that can't be told."""
    breached = dict.fromkeys(each["case"] for each in result["attacks"] if each["through"] is True)
    if result["verdict"] == Verdict.BREACHED:
        return [*breached]
    if result["verdict"] != Verdict.INCONCLUSIVE:
        return []
    attacked = dict.fromkeys(each["case"] for each in result["attacks"])
    shown = dict.fromkeys(each["case"] for each in result["positives"])
    unknown = dict.fromkeys(each["case"] for each in result["attacks"] if each["through"] is None)
    failed = dict.fromkeys(each["case"] for each in result["positives"] if each["succeeded"] is not True)
    one_sided = [case for case in (*attacked, *shown) if case not in attacked or case not in shown]
    return [case for case in dict.fromkeys((*unknown, *failed, *one_sided)) if case not in breached]


def _is_about(case: str, word: str) -> bool:
    """Whether a case names a subject, and not one whose name only begins or ends like it: ``web`` is not ``web2``."""
    end = r"(?!\w)" if word[-1].isalnum() else ""
    return re.search(rf"(?<!\w){re.escape(word)}{end}", case) is not None


def _said(result: Result) -> str:
    through = [each for each in result["attacks"] if each["through"] is True]
    return f"{result['reason']}\n{json.dumps(through, ensure_ascii=False)}"


def _first_line(result: Result) -> str:
    return str(result["reason"]).partition("\n")[0]
