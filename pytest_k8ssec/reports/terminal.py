"""Why a test failed, in all words that there are; tables, tallies and the matrix of sabotages in lines. See also ``screen``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_k8ssec.reach.by_class import Extent
from pytest_k8ssec.reports.breach import Breach, culprit_words, exchange, to_paste
from pytest_k8ssec.reports.result import Entry
from pytest_k8ssec.reports.sabotage_matrix import blamed_by, is_shown

_COUNTED = ("held", "breached", "inconclusive", "not-applicable")
_EVIDENCE_MAX = 8
_MARKS = ("!", "?")
"""After an answer in a table: a breach, and what can't be told."""


def explain_result(entry: Entry, headline: str) -> str:
    """Why a test failed: the verdict, what is, the evidence, the remediation."""
    lines = [f"{headline}: {_said(entry, headline)}", "", *(f"  {line}" for line in blamed(entry))]
    reasons = str(entry["reason"]).splitlines()
    lines += [f"  {line}" for line in reasons[:_EVIDENCE_MAX]]
    if len(reasons) > _EVIDENCE_MAX:
        lines.append(f"  ... and {len(reasons) - _EVIDENCE_MAX} more")
    shown = [one for one in entry["positives"] if one.get("succeeded")]
    if shown:
        lines += [
            "",
            f"  shown to work meanwhile ({len(shown)} positive controls), such as:",
            f"    {attempt(shown[0])}",
        ]
    lines += [f"  note: {note}" for note in entry.get("notes", [])]
    if fixes := _remediation(entry):
        lines += ["", "  remediation:", *(f"    {line}" for line in fixes)]
    return "\n".join(lines)


def _said(entry: Entry, headline: str) -> str:
    """What a headline is about: a control's title is a promise, which after "BREACHED" would read as its contrary."""
    if headline == "BREACHED":
        return Breach.of(entry).headline
    return f"not known: {entry['title']}" if headline == "INCONCLUSIVE" else str(entry["title"])


def blamed(entry: Entry) -> list[str]:
    """What is, and who is to blame for it: each breached case's finding, and each culprit once with its place."""
    found = entry.get("blamed", [])
    lines = [f"finding: {each['finding']}" for each in found[:_EVIDENCE_MAX]]
    if len(found) > _EVIDENCE_MAX:
        lines.append(f"... and {len(found) - _EVIDENCE_MAX} more findings: see report.json")
    culprits = [*dict.fromkeys(culprit_words(one) for each in found for one in each["culprits"])]
    lines += [f"culprit: {words}" for words in culprits[:_EVIDENCE_MAX]]
    if len(culprits) > _EVIDENCE_MAX:
        lines.append(f"... and {len(culprits) - _EVIDENCE_MAX} more culprits: see report.json")
    none = dict.fromkeys(each["not_found"] for each in found if each["not_found"])
    return [*lines, *(f"culprit: not found: {why}" for why in [*none][:_EVIDENCE_MAX])]


def attempt(one: Entry) -> str:
    """One attack or positive control in a line."""
    return f"{one['case']}: {one['what']}: {exchange(one)}"


def waived_lines(entry: Entry, *, whole: bool) -> list[str]:
    """Each breach that somebody answers for, with reason, owner and end, a line each; else the first few."""
    waived = [*dict.fromkeys(waiver_words(one) for one in entry.get("waived", ()))]
    shown = waived if whole else waived[:_EVIDENCE_MAX]
    left = len(waived) - len(shown)
    return [
        *(f"waived: {words}" for words in shown),
        *([f"... and {left} more are waived: -v says all"] if left else []),
    ]


def waiver_words(one: Entry) -> str:
    """A waived breach in a line: ``Deployment web/shop: connect: until 2027-01-31: public site (team web, OPS-7)``."""
    ticket = f", {one['ticket']}" if one["ticket"] else ""
    return f"{one['case']}: {one['attack']}: until {one['expires']}: {one['reason']} ({one['owner']}{ticket})"


def result_table(found: Entry, *, whole: bool) -> list[str]:
    """A result's table in lines, its columns numbered, as their names are long.

    Args:
        found: as in report.json.
        whole: all of it; else the first few rows and the columns in which something is marked, which may be none.
    """
    columns = [
        number
        for number in range(len(found["columns"]))
        if whole or any(_marked(row["cells"][number]) for row in found["rows"])
    ]
    chosen = [row for row in found["rows"] if whole or any(map(_marked, row["cells"]))]
    rows = chosen if whole else chosen[:_EVIDENCE_MAX]
    if not rows:
        return []
    width = max(len(row["row"]) for row in rows)
    shown = [["", *(f"[{number + 1}]" for number in columns)]]
    shown += [[row["row"], *(row["cells"][number] for number in columns)] for row in rows]
    lines = [f"{first:<{width}}  {'  '.join(f'{cell:<12}' for cell in cells)}".rstrip() for first, *cells in shown]
    if left_out := len(found["rows"]) - len(rows):
        lines.append(f"({left_out} more rows, {len(chosen) - len(rows)} of them marked: see report.json)")
    names = ", ".join(f"[{number + 1}] {found['columns'][number]}" for number in columns)
    return [f"{found['title']}: {names}", *(f"  {line}" for line in lines)]


def _marked(cell: str) -> bool:
    return cell.endswith(_MARKS)


def tally_verdicts(entries: Iterable[Entry]) -> str:
    """``9 held, 1 breached, 0 inconclusive, 0 not-applicable``."""
    verdicts = [entry["verdict"] for entry in entries if entry["phase"] in (None, "intact")]
    waived = verdicts.count("waived")
    counted = [f"{verdicts.count(verdict)} {verdict}" for verdict in _COUNTED]
    return ", ".join([*counted, *([f"{waived} waived"] if waived else [])])


def reach_summary(measured: Iterable[Entry]) -> list[tuple[str, str]]:
    """How much of the reachability was measured, and what differs within a class: (line, colour) each.

    Args:
        measured: as in report.json; where all pods were measured, nothing is said.
    """
    lines: list[tuple[str, str]] = []
    for each in measured:
        if each["seed"] is not None:
            lines.append((f"reachability: {Extent(**each)}", "yellow"))
            lines += [(f"    {words}", "red") for words in each["unlike"][:_EVIDENCE_MAX]]
    return lines


def mutation_summary(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """A line for each sabotage: its control's verdicts intact, sabotaged and restored, and others it changed."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    others: dict[str, list[str]] = {}
    blames: dict[str, str] = {}
    intact = {entry["control"]: entry["verdict"] for entry in entries if entry["phase"] == "intact"}
    for entry in entries:
        for name in entry["own_sabotages"]:
            unnamed = entry["verdict"] == "breached" and name in entry["missing"]
            said = "not named" if unnamed else entry["verdict"]
            rows.setdefault((name, entry["control"]), {})[entry["phase"]] = said
            if entry["phase"] == "sabotaged":
                blames[name] = blamed_by(entry, name)
        if entry["bystander"] and entry["verdict"] != intact.get(entry["control"]):
            for name in entry["sabotages"] or [entry["sabotage"]]:
                others.setdefault(name, []).append(f"{entry['control']} {entry['verdict']}")
    lines = []
    for (sabotage, control), phases in rows.items():
        verdicts = intact.get(control), phases.get("sabotaged"), phases.get("restored")
        path = " -> ".join(each or "?" for each in verdicts)
        moved = f"; also moved: {', '.join(others[sabotage])}" if sabotage in others else ""
        blamed = f"; blames: {blames[sabotage]}" if blames.get(sabotage) else ""
        good = is_shown(*verdicts, blames.get(sabotage, ""))
        lines.append((f"{sabotage:<28}  {control:<20}  {path}{blamed}{moved}", "green" if good else "red"))
    return lines


def _remediation(entry: Entry) -> list[str]:
    """What fixes a breach, in lines; what can be pasted is left to the command that shows it."""
    if entry["verdict"] != "breached":
        return []
    return [*str(entry["remediation"]).splitlines(), *to_paste(entry)]
