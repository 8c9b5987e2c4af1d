"""What a person reads: a table of verdicts, and below it, for each that is not held, the evidence and the fix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_k8ssec.reach.by_class import Extent
from pytest_k8ssec.reports.result import Entry
from pytest_k8ssec.reports.sabotage_matrix import blamed_by

_ORDER = ("breached", "inconclusive", "waived", "not-applicable", "held")
_COUNTED = ("held", "breached", "inconclusive", "not-applicable")
_EVIDENCE_MAX = 8
_MARKS = ("!", "?")
"""After an answer in a table: a breach, and what can't be told."""


def explain_result(entry: Entry, headline: str) -> str:
    """Why a test failed: the verdict, the evidence, the remediation."""
    lines = [f"{headline}: {entry['title']}", "", *(f"  {line}" for line in blamed(entry))]
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


def culprit_words(one: Entry) -> str:
    """A culprit in a line: ``ClusterRoleBinding reporter (infra/__main__.py:12): binds ClusterRole cluster-admin``."""
    where = f"{one['namespace']}/" if one["namespace"] else ""
    field = f", {one['field']}" if one["field"] else ""
    place = f" ({one['place']})" if one["place"] else ""
    how = f": {one['how']}" if one["how"] else ""
    return f"{one['kind']} {where}{one['name']}{field}{place}{how}"


def attempt(one: Entry) -> str:
    """One attack or positive control in a line."""
    source = one["source"]
    where = f"{source['kind']} {source['name']}" + (f" as {source['identity']}" if source.get("identity") else "")
    answer = f"HTTP {one['status']}" if one.get("status") is not None else one["outcome"]
    words = f" ({one['detail']})" if one.get("detail") else ""
    return f"{one['case']}: {one['what']}: {where}: {one['request']} -> {answer}{words}"


def run_summary(entries: Sequence[Entry], *, verbose: bool = False) -> list[tuple[str, str]]:
    """The table of all results: (line, colour) each; worst first.

    Args:
        entries: results as in report.json; results under sabotage are left out: :func:`mutation_summary` shows them.
        verbose: whether a result's own tables are shown whole; else only what is marked in those of a breach.
    """
    plain = [entry for entry in entries if entry["phase"] in (None, "intact")]
    if not plain:
        return []
    width = max(len(str(entry["control"])) for entry in plain)
    lines: list[tuple[str, str]] = []
    told: set[tuple[tuple[str, str], ...]] = set()
    for entry in sorted(plain, key=lambda one: (_ORDER.index(one["verdict"]), one["control"])):
        row = f"{entry['control']:<{width}}  {entry['verdict'].upper():<14}  {entry['severity']:<8}  {entry['seconds']:6.1f}s"
        lines.append((f"{row}  {entry['summary']}", _colour(entry["verdict"])))
        if entry["verdict"] in ("breached", "inconclusive"):
            below = tuple(_below(entry))
            # A cluster that can't be had leaves each control in the same words.
            lines += [("    the same as above", "")] if len(below) > 1 and below in told else below
            told.add(below)
        lines += waived_lines(entry)
        if verbose and entry.get("coverage"):
            lines.append((f"    coverage: {entry['coverage']['words']}", ""))
        if verbose or entry["verdict"] == "breached":
            lines += [
                (f"    {line}", "") for each in entry.get("tables", []) for line in result_table(each, whole=verbose)
            ]
    return lines


def waived_lines(entry: Entry) -> list[tuple[str, str]]:
    """Each breach that somebody answers for, with reason, owner and end: (line, colour) each."""
    waived = entry.get("waived", ())
    lines = [(f"    waived: {waiver_words(one)}", "") for one in waived[:_EVIDENCE_MAX]]
    if len(waived) > _EVIDENCE_MAX:
        lines.append((f"    ... and {len(waived) - _EVIDENCE_MAX} more are waived: see report.json", ""))
    return lines


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
        as_before = "waived" if intact.get(control) == "waived" else "held"
        wanted = {"sabotaged": "breached", "restored": as_before}
        good = phases == wanted and intact.get(control) == as_before
        path = " -> ".join((intact.get(control, "?"), phases.get("sabotaged", "?"), phases.get("restored", "?")))
        moved = f"; also moved: {', '.join(others[sabotage])}" if sabotage in others else ""
        blamed = f"; blames: {blames[sabotage]}" if blames.get(sabotage) else ""
        good = good and blames.get(sabotage) != "other"
        lines.append((f"{sabotage:<28}  {control:<20}  {path}{blamed}{moved}", "green" if good else "red"))
    return lines


def _below(entry: Entry) -> list[tuple[str, str]]:
    reasons = str(entry["reason"]).splitlines()
    lines = [(f"    {line}", "") for line in (*blamed(entry), *reasons[:_EVIDENCE_MAX])]
    if len(reasons) > _EVIDENCE_MAX:
        lines.append((f"    ... and {len(reasons) - _EVIDENCE_MAX} more: see report.json", ""))
    if fixes := _remediation(entry):
        first, *more = fixes
        lines += [(f"    remediation: {first}", ""), *((f"      {line}", "") for line in more)]
    return lines


def _remediation(entry: Entry) -> list[str]:
    """What fixes a breach, in lines; what can be pasted is left to the command that shows it."""
    if entry["verdict"] != "breached":
        return []
    lines = str(entry["remediation"]).splitlines()
    return [*lines, f"to paste: `k8ssec controls {entry['control']}`"] if entry.get("snippets") else lines


def _colour(verdict: str) -> str:
    return {"held": "green", "breached": "red", "inconclusive": "yellow", "waived": "yellow"}.get(verdict, "cyan")
