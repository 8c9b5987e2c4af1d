"""What there is to report of a run, once for all forms: each breached case, each control that could not tell."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_k8ssec.plain import cut
from pytest_k8ssec.reports.forms.paths import placed
from pytest_k8ssec.reports.lasting import lasting_name
from pytest_k8ssec.reports.result import Entry

_WORST = ("critical", "high", "", "medium", "low")
"""A test of a user's own has no severity; it fails as what is high does."""
_VERDICTS = ("breached", "inconclusive", "waived")


@dataclass(frozen=True, slots=True)
class Reported:
    """One thing that a reader has to know of."""

    entry: Entry
    verdict: str
    """``breached``, ``inconclusive`` or ``waived``."""
    text: str
    """What is, in one line."""
    path: str
    line: int
    lasting: str
    """The same for the same thing in each run, on any cluster."""
    waivers: tuple[Entry, ...] = ()
    alike: int = 0
    """So many more are this one, but for what is drawn anew for each cluster or pod."""

    @property
    def control(self) -> str:
        """The control's id."""
        return str(self.entry["control"])

    @property
    def severity(self) -> str:
        """Of the breach, "" for a user's own test."""
        return str(self.entry["severity"])

    @property
    def words(self) -> str:
        """The text, and how many more there are of it."""
        return self.text + (f" (and {self.alike} more like this)" if self.alike else "")

    @property
    def fingerprint(self) -> str:
        """What stands for it, the same in each run."""
        return hashlib.sha256(f"{self.control}\n{self.verdict == 'inconclusive'}\n{self.lasting}".encode()).hexdigest()


def verdicts_of(report: Mapping[str, Any]) -> list[Entry]:
    """The results that say something of the cluster: what a sabotage breached on purpose is none of them."""
    return [each for each in report["results"] if each["phase"] in (None, "intact")]


def severity_order(severity: str) -> int:
    """Less for what is worse."""
    return _WORST.index(severity) if severity in _WORST else len(_WORST)


def reported(report: Mapping[str, Any]) -> list[Reported]:
    """All that is breached, unknown or waived, the worst first; what held is not reported."""
    run = report["run"]
    found: dict[str, Reported] = {}
    for entry in verdicts_of(report):
        for each in _of(entry, run):
            known = found.get(each.fingerprint + each.verdict)
            kept = each if known is None else replace(known, alike=known.alike + 1)
            found[each.fingerprint + each.verdict] = kept
    return sorted(found.values(), key=lambda each: (_VERDICTS.index(each.verdict), severity_order(each.severity)))


def _of(entry: Entry, run: Mapping[str, Any]) -> Iterator[Reported]:
    if entry["verdict"] == "breached":
        yield from _breaches(entry, run, waived=False)
    elif entry["verdict"] == "inconclusive":
        why = next(iter(str(entry["reason"]).splitlines()), "") or str(entry["summary"])
        # Why it could not tell differs from run to run; that it could not is what is known again.
        yield Reported(entry, "inconclusive", f"not known: {entry['title']}: {why}", *_place(run, entry, {}), "")
    yield from _breaches(entry, run, waived=True)


def _breaches(entry: Entry, run: Mapping[str, Any], *, waived: bool) -> Iterator[Reported]:
    """Each case with an attack that got through, and that somebody answers for or not."""
    cases: dict[str, list[str]] = {}
    for attack in entry["attacks"]:
        if attack["through"] is True and bool(attack.get("waived")) is waived:
            cases.setdefault(attack["case"], []).append(attack["what"])
    blamed = {each["case"]: each for each in entry.get("blamed", ())}
    cluster = str(entry.get("cluster") or run["cluster"].get("name", ""))  # of a report from before, the run's
    for case, attacks in cases.items():
        blame = blamed.get(case, {})
        text = str(blame.get("finding") or f"{case}: {attacks[0]}")
        who = _distinct(each for each in entry.get("waived", ()) if waived and each["case"] == case)
        yield Reported(
            entry, "waived" if waived else "breached", text, *_place(run, entry, blame),
            # Of several attacks the same one each time, in whichever order they were made.
            min(lasting_name(case, each, cluster=cluster) for each in attacks), who,
        )  # fmt: skip
    if not cases and not waived:
        text = next(iter(str(entry["reason"]).splitlines()), "") or str(entry["title"])
        yield Reported(entry, "breached", text, *_place(run, entry, {}), lasting_name(text, "", cluster=cluster))


def _place(run: Mapping[str, Any], entry: Entry, blame: Entry) -> tuple[str, int]:
    places = [str(one["place"]) for one in blame.get("culprits", ())] + [
        str(blame.get("place", "")),
        str(entry.get("place", "")),
    ]
    return placed(run, str(entry["subject"]), places)


def _distinct(waivers: Iterable[Entry]) -> tuple[Entry, ...]:
    return tuple({each["place"]: each for each in waivers}.values())


def at_most(text: str, most: int) -> str:
    """A text of a length, in dots where it is cut, at once also where it is long."""
    return cut(text[: 2 * most], most)


def waiver_reason(one: Entry) -> str:
    """Why something is waived, by whom and until when."""
    ticket = f", {one['ticket']}" if one["ticket"] else ""
    return f"{one['reason']} ({one['owner']}, until {one['expires']}{ticket})"
