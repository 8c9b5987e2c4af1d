"""What a person sees at the end of a run: one screen of verdicts, and below it each breach once, and what could not be told.

Everything is as wide as the terminal: a sentence is cut, an id or a place is wrapped and never cut. The more breaches there
are, the less is said of each, of the most severe last of all; ``-v`` says all of each, and report.json has everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from pytest_k8ssec.catalogue.severity import Severity
from pytest_k8ssec.plain import cut, few, folded
from pytest_k8ssec.reports.breach import Breach
from pytest_k8ssec.reports.result import Entry
from pytest_k8ssec.reports.terminal import attempt, result_table, waived_lines

Line = tuple[str, str]
"""A line and its colour, "" for none."""
LINES = 112
"""So many lines are said of verdicts, unless there are more verdicts: with what pytest says of itself, at most 150."""
_SEVERITIES = [*map(str, Severity)]
_HEADINGS = 3
"""Empty lines, and what is said of all breaches."""
_CAUSE_LINES = 40
_REASON_LINES, _UNCLEAR_LINES = 4, 24
_NAMED = 8
"""So many of the tests that one cause took away."""
_INDENT = "    "
_COLOURS = {"held": "green", "breached": "red", "inconclusive": "yellow", "waived": "yellow"}


@dataclass(frozen=True, slots=True)
class Loss:
    """One thing for which tests have no verdict, such as a docker daemon that does not answer."""

    text: str
    tests: tuple[str, ...]


Lost = tuple[str, str]
"""A test without a result of its own, and why it could not be set up."""


def run_summary(entries: Sequence[Entry], *, width: int, verbose: int = 0, lost: Iterable[Lost] = ()) -> list[Line]:
    """The verdicts, most severe controls first, and below them what there is to say of those that are not held.

    Args:
        entries: results as in report.json; results under sabotage are left out: ``mutation_summary`` shows them.
        width: of the terminal.
        verbose: 1 shows all that was found out of each, 2 each attack and each positive control too.
        lost: the tests without a result of their own that could not be set up.
    """
    plain = sorted((each for each in entries if each["phase"] in (None, "intact")), key=_rank)
    causes = common_causes(plain, lost)
    told = {each.text for each in causes}
    own = [each for each in plain if not (is_untried(each) and each["reason"] in told)]
    rows = [*chain.from_iterable(_row(each, _id_width(own), width, verbose) for each in own)]
    blocks = [_cause(each, width) for each in causes]
    found = [Breach.of(each) for each in own if each["verdict"] == "breached"]
    rest = LINES - len(rows) - sum(map(len, blocks))
    least = sum(len(each.short(width)) for each in found) + _HEADINGS
    unclear = _unclear([each for each in own if each["verdict"] == "inconclusive"], width, verbose, rest - least)
    waived = _waived(own, width, whole=verbose > 0)
    breaches = _breaches(found, width, verbose, rest - len(unclear) - len(waived))
    parts = [rows, breaches, unclear, waived, [*chain.from_iterable(blocks)]]
    lines: list[Line] = []
    for part in filter(None, parts):
        lines += [*([("", "")] if lines else []), *part]
    return [*lines, *_evidence(own, width)] if verbose > 1 else lines


def common_causes(entries: Iterable[Entry], lost: Iterable[Lost] = ()) -> list[Loss]:
    """What took more than one test away, and tests that have no result of their own: the most tests first."""
    found: dict[str, list[str]] = {}
    for entry in filter(is_untried, entries):
        found.setdefault(str(entry["reason"]), []).append(str(entry["control"]))
    nameless = set()
    for test, why in lost:
        found.setdefault(why, []).append(test)
        nameless.add(why)
    losses = [Loss(why, tuple(tests)) for why, tests in found.items() if len(tests) > 1 or why in nameless]
    return sorted(losses, key=lambda each: -len(each.tests))


def is_untried(entry: Entry) -> bool:
    """Whether a test recorded nothing: mostly its set-up failed."""
    return bool(entry["verdict"] == "inconclusive" and not entry["attacks"] and not entry["positives"])


def _rank(entry: Entry) -> tuple[int, str]:
    severity = str(entry["severity"])
    return (_SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES), str(entry["control"]))


def _id_width(entries: Sequence[Entry]) -> int:
    return max((len(str(each["control"])) for each in entries), default=0)


def _row(entry: Entry, column: int, width: int, verbose: int) -> list[Line]:
    """A verdict in a line; an id that leaves no room for the rest has a line, or lines, of its own."""
    colour = _COLOURS.get(entry["verdict"], "cyan")
    said = "" if is_untried(entry) else entry["summary"]  # which is why, and stands below
    verdict = f"{entry['verdict'].upper():<14}  {entry['severity']:<8}  {entry['seconds']:6.1f}s  {said}".rstrip()
    column = min(column, width // 2)
    name = str(entry["control"])
    above = [] if len(name) <= column else folded(name, width)
    lines = [*above, cut(f"{'' if above else name:<{column}}  {verdict}", width)]
    if verbose and entry.get("coverage"):
        lines += folded(f"{_INDENT}coverage: {entry['coverage']['words']}", width, "  ")
    if verbose and entry["verdict"] != "breached":
        lines += _tables(entry, width, whole=True)
    return [(line, "" if line.startswith(_INDENT) and not above else colour) for line in lines]


def _tables(entry: Entry, width: int, *, whole: bool) -> list[str]:
    lines = (line for each in entry.get("tables", []) for line in result_table(each, whole=whole))
    return [cut(f"{_INDENT}{line}", width) for line in lines]


def _breaches(found: Sequence[Breach], width: int, verbose: int, room: int) -> list[Line]:
    """Each breach as long as the room allows: all get more before any gets all, and the most severe first."""
    if verbose:
        forms = [[[*each.all(width), *_tables(each.entry, width, whole=True)] for each in found]]
    else:
        whole = [[*each.whole(width), *_tables(each.entry, width, whole=False)] for each in found]
        forms = [[each.short(width) for each in found], [each.middle(width) for each in found], whole]
    chosen = [*forms[0]]
    room -= sum(map(len, chosen)) + _HEADINGS
    for form in forms[1:]:
        for number, lines in enumerate(form):
            room -= len(lines) - len(chosen[number])
            if room < 0:
                break
            chosen[number] = lines
    told = [(line, "red" if at == 0 else "") for block in chosen for at, line in enumerate(block)]
    if chosen != forms[-1]:
        told += [(line, "") for line in folded("in short: -v says all, `k8ssec controls ID` what to paste", width)]
    return told


def _unclear(entries: Sequence[Entry], width: int, verbose: int, room: int) -> list[Line]:
    """What could not be told, and why, in short where it is much: there is nothing to fix before it is known."""
    told = [_why(each, width, len(str(each["reason"])) if verbose else _REASON_LINES) for each in entries]
    if not verbose and sum(map(len, told)) > min(room, _UNCLEAR_LINES):
        told = [[cut(f"{each['control']}  inconclusive: {each['reason']}".splitlines()[0], width)] for each in entries]
    return [(line, "yellow" if at == 0 else "") for lines in told for at, line in enumerate(lines)]


def _waived(entries: Sequence[Entry], width: int, *, whole: bool) -> list[Line]:
    """The breaches that somebody answers for, by control."""
    lines: list[Line] = []
    for entry in entries:
        said = [
            part for line in waived_lines(entry, whole=whole) for part in folded(f"{_INDENT}{line}", width, _INDENT)
        ]
        lines += [
            *([(f"{entry['control']}  {entry['severity']}", "yellow")] if said else []),
            *((each, "") for each in said),
        ]
    return lines


def _why(entry: Entry, width: int, most: int) -> list[str]:
    """Why nobody knows, in at most so many lines of the reason."""
    reasons = str(entry["reason"]).splitlines() or [""]
    said = [f"{entry['control']}  inconclusive: {reasons[0]}", *(f"{_INDENT}{each}" for each in reasons[1:most])]
    lines = [part for each in said for part in folded(each, width, _INDENT)]
    left = len(reasons) - most
    return [*lines, f"{_INDENT}... and {left} more: -v says all"] if left > 0 else lines


def _cause(cause: Loss, width: int) -> list[Line]:
    """What took tests away, once, and which."""
    first, *more = [part for line in cause.text.splitlines() or [""] for part in folded(line, width, "    ")]
    count = len(cause.tests)
    taken = f"{count} test{'' if count == 1 else 's'} could tell nothing, for one reason: {few(cause.tests, _NAMED)}"
    lines = [(part, "yellow") for part in folded(taken, width, _INDENT)]
    lines += [(first, "red"), *((line, "") for line in more[: _CAUSE_LINES - 1])]
    if (left := len(more) - _CAUSE_LINES + 1) > 0:
        lines.append((f"  ... and {left} more lines: see report.json", ""))
    return lines


def _evidence(entries: Sequence[Entry], width: int) -> list[Line]:
    """Each attack and each positive control."""
    lines: list[Line] = []
    for entry in entries:
        said = [("attack", "through", each) for each in entry["attacks"]]
        said += [("positive control", "succeeded", each) for each in entry["positives"]]
        lines += [("", ""), (f"{entry['control']}: all that was tried", "")] if said else []
        for kind, key, each in said:
            answer = {True: "yes", False: "no"}.get(each.get(key), "unknown")
            text = f"{_INDENT}{kind}, {'got through' if key == 'through' else key}: {answer}: {attempt(each)}"
            lines += [(line, "") for line in folded(text, width, "  ")]
    return lines
