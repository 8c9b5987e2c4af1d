"""What the page shows, put in order once: templates ask for nothing but names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_k8ssec.reports.attack import DrawnGraph, drawn_graph
from pytest_k8ssec.reports.breach import Breach, exchange
from pytest_k8ssec.reports.forms.reported import severity_order, verdicts_of, waiver_reason
from pytest_k8ssec.reports.page.coverage import VERDICTS, FrameworkCoverage, frameworks_covered
from pytest_k8ssec.reports.page.evidence import Rows, first_of, tables_of, tried_rows
from pytest_k8ssec.reports.page.filters import CHANGES, SEVERITIES, Filter, facets_of, filters_of
from pytest_k8ssec.reports.reach_map import DrawnMap, drawn_map
from pytest_k8ssec.reports.result import Entry
from pytest_k8ssec.reports.sabotage_matrix import BLAMED, MEANING, SIGN_OF, WRONG, matrix, wrong_results
from pytest_k8ssec.reports.screen import Loss, common_causes, is_untried
from pytest_k8ssec.reports.terminal import tally_verdicts

_CHANGES_MAX = 200
_SLOWEST = 15
_NAMED_MAX = 60
"""So many findings, culprits or reasons of one result, at most."""
_PLAIN = re.compile("[a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Judged:
    """One verdict, and all that is shown with it."""

    entry: Entry
    anchor: str
    facets: Mapping[str, Sequence[str]]
    """By the name of a filter: what it is found by."""
    breach: Breach | None
    """What is breached, or waived."""
    findings: Rows
    culprits: Rows
    attack: str
    positive: str
    reasons: Rows
    tried: Rows
    tables: Rows
    untried: Rows
    waivers: Sequence[str]
    references: Sequence[tuple[str, str]]
    """Framework and id of each."""

    @property
    def verdict(self) -> str:
        """The verdict's word."""
        return str(self.entry["verdict"])

    @property
    def severity(self) -> str:
        """The severity's word, of a user's own test none."""
        return str(self.entry["severity"])


@dataclass(frozen=True, slots=True)
class Since:
    """What changed since an earlier run."""

    baseline: str
    counts: Sequence[tuple[str, int]]
    """How many there are of each change."""
    told: Rows
    """Each change but what is unchanged."""
    unjudged: int


@dataclass(frozen=True, slots=True)
class View:
    """The whole page."""

    run: Mapping[str, Any]
    title: str
    tally: str
    counts: Sequence[tuple[str, int]]
    """How many there are of each verdict."""
    severities: Sequence[tuple[str, int]]
    """How many are breached of each severity."""
    proven: bool
    passed: bool
    """Whether the run is known to have come to its end, with no test that failed."""
    without_verdict: Rows
    """Ids of tests that have none."""
    judged: Sequence[Judged]
    causes: Sequence[Loss]
    filters: Sequence[Filter]
    frameworks: Sequence[FrameworkCoverage]
    waivers: Sequence[Entry]
    slowest: Sequence[tuple[str, str, float, int]]
    """Id, anchor, seconds, and how long its bar is, of 100."""
    matrix: Mapping[str, Any]
    """Sabotages and controls, where there were sabotages; else nothing."""
    graphs: Rows
    """The blast radius of workloads."""
    maps: Sequence[DrawnMap]
    """Who reaches whom, where that was measured; of each worker of xdist that did."""
    since: Since | None
    """What changed since the baseline, where there is one."""
    cut: bool
    """Whether some of what was tried is not shown."""

    def of(self, verdict: str) -> list[Judged]:
        """All with a verdict."""
        return [each for each in self.judged if each.verdict == verdict]

    @property
    def unclear(self) -> list[Judged]:
        """What could not be told, for a reason of its own."""
        told = {cause.text for cause in self.causes}
        found = self.of("inconclusive")
        return [each for each in found if each.entry["reason"] not in told or not is_untried(each.entry)]


def view_of(report: Mapping[str, Any], most: int, room: int) -> View:
    """What the page shows of a report.

    Args:
        report: as report.json has it.
        most: so many rows of what was tried, for each result.
        room: so many letters for pictures.
    """
    entries = sorted(verdicts_of(report), key=_rank)
    anchors = _anchors(entries)
    run = report["run"]
    changes = _changes(run.get("since"))
    judged = [_judged(each, anchor, most, changes) for each, anchor in zip(entries, anchors, strict=True)]
    verdicts = Counter(each.verdict for each in judged)
    breached = Counter(each.severity for each in judged if each.verdict == "breached")
    stack, ended = run["stack"], run.get("ended") or {}
    return View(
        run, ": ".join(filter(None, ["Kubernetes security", str(stack.get("project", ""))])), tally_verdicts(entries),
        [(name, verdicts[name]) for name in VERDICTS], [(name, breached[name]) for name in SEVERITIES if breached[name]],
        bool(verdicts["held"] or verdicts["waived"]), ended.get("status") == "passed",
        first_of(ended.get("without_verdict", ()), _NAMED_MAX), judged, common_causes(entries), filters_of([each.facets for each in judged]),
        frameworks_covered(entries), _waivers(entries), _slowest(judged), _matrix(report["results"]), _graphs(entries, room),
        [drawn_map(each, number, room // len(run["reach"])) for number, each in enumerate(run.get("reach", ()))],
        _since(run.get("since")),
        any(each.tried.left or each.tables.left or any(one.left for one in each.tables.shown) for each in judged),
    )  # fmt: skip


def _rank(entry: Entry) -> tuple[int, int, str]:
    return VERDICTS.index(entry["verdict"]), severity_order(str(entry["severity"])), str(entry["control"])


def _anchors(entries: Iterable[Entry]) -> list[str]:
    """By the control's id, so that a link to it lasts; a number where that can be no anchor, or is not the only one."""
    found: list[str] = []
    for number, entry in enumerate(entries, 1):
        name = f"control-{entry['control']}"
        fits = entry["subject"] and _PLAIN.fullmatch(str(entry["control"])) and name not in found
        found.append(name if fits else f"result-{number}")
    return found


def _judged(entry: Entry, anchor: str, most: int, changes: Mapping[str, Sequence[str]]) -> Judged:
    named = max(1, min(most, _NAMED_MAX))
    breach = Breach.of(entry) if entry["verdict"] in ("breached", "waived") else None
    coverage = entry.get("coverage") or {}
    return Judged(
        entry, anchor, facets_of(entry, changes.get(entry["control"], ())), breach,
        first_of(breach.findings if breach else (), named), first_of(breach.culprits if breach else (), named),
        exchange(breach.attack) if breach and breach.attack else "",
        f"{breach.positive['what']}: {exchange(breach.positive)}" if breach and breach.positive else "",
        first_of(str(entry["reason"]).splitlines(), named), tried_rows(entry, most), tables_of(entry, most),
        first_of([_combination(each) for each in coverage.get("untried", ())], named),
        [*dict.fromkeys(waiver_reason(each) for each in entry.get("waived", ()))],
        [(name, ident) for name, ids in entry["mappings"].items() for ident in ids],
    )  # fmt: skip


def _combination(untried: Entry) -> str:
    where = ", ".join(f"{name} {value}" for name, value in untried["at"].items())
    return f"{where}: {untried['why']}" if untried["why"] else where


def _waivers(entries: Iterable[Entry]) -> list[Entry]:
    found = [one for entry in entries for one in entry.get("waivers", ())]
    return sorted(found, key=lambda each: (each["expires"], each["control"], each["subject"]))


def _slowest(judged: Iterable[Judged]) -> list[tuple[str, str, float, int]]:
    found = sorted(((float(each.entry.get("seconds", 0)), each) for each in judged), key=lambda each: -each[0])
    most = max((seconds for seconds, _ in found), default=0) or 1
    return [
        (str(each.entry["control"]), each.anchor, seconds, round(100 * seconds / most))
        for seconds, each in found[:_SLOWEST]
    ]


def _matrix(entries: Sequence[Entry]) -> dict[str, Any]:
    """With the letters and the meanings of its cells, and what is wrong in it."""
    if not any(each.get("sabotage") for each in entries):
        return {}
    found = matrix(entries)
    words = {"meaning": MEANING, "signs": SIGN_OF, "wrong": WRONG, "blamed_words": BLAMED}
    return {**found, **words, "wrong_results": wrong_results(found)}


def _changes(since: Mapping[str, Any] | None) -> dict[str, list[str]]:
    """What became of a control's breaches, each change once."""
    found: dict[str, list[str]] = {}
    for each in since["changes"] if since else ():
        if each["change"] not in found.setdefault(each["control"], []):
            found[each["control"]].append(each["change"])
    return found


def _since(since: Mapping[str, Any] | None) -> Since | None:
    if not since:
        return None
    counts = Counter(each["change"] for each in since["changes"])
    told = [each for change in CHANGES[:-1] for each in since["changes"] if each["change"] == change]
    return Since(
        since["baseline"],
        [(str(each), counts[each]) for each in CHANGES],
        first_of(told, _CHANGES_MAX),
        since["unjudged"],
    )


def _graphs(entries: Iterable[Entry], room: int) -> Rows:
    """The blast radius of each workload, those with a way to cluster-admin first, as many as there is room for."""
    found = [body for entry in entries for body in entry.get("graphs", ())]
    found.sort(key=lambda body: not body["graph"]["path"])
    made: list[DrawnGraph] = []
    for body in found:
        one = drawn_graph(body, len(made))
        room -= len(one.picture) + sum(len(each) for row in one.rows for each in row)
        if room < 0:
            break
        made.append(one)
    return Rows(made, len(found) - len(made))
