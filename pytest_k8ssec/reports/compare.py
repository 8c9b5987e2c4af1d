"""What changed between two runs, told by what got through: new, resolved, unchanged, and what can't be compared.

A breach is the same in both where it has the same lasting name. It is *resolved* only where that was seen: the same attack was
stopped, and its case could have shown it. Where its control held and did not make that attack, it is *gone*: what was attacked
is not there any more, or is declared to be so. Whatever nobody could tell is *incomparable*, and so is a control that one of the
runs did not judge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pytest_k8ssec.plain import line
from pytest_k8ssec.reports.json import as_written, read_report
from pytest_k8ssec.reports.lasting import lasting_name
from pytest_k8ssec.reports.result import Entry


class Became(StrEnum):
    """What became of a breach from one run to the next."""

    NEW = "new"
    RESOLVED = "resolved"
    GONE = "gone"
    UNCHANGED = "unchanged"
    INCOMPARABLE = "incomparable"


@dataclass(frozen=True, slots=True)
class Changed:
    """One breach, or one control of which nothing can be said, and what became of it."""

    change: Became
    control: str
    severity: str
    words: str
    """The case and what was tried; of what is incomparable, why."""
    place: str = ""
    """Where that is declared, ``file:line``, if that is known."""
    waived: bool = False

    def to_json(self) -> dict[str, Any]:
        """JSON-compatible form."""
        return asdict(self)


def compare_reports(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Changed]:
    """What changed, by control; of a breach in both runs nothing is said but that.

    Args:
        old: report.json's document of a run, see :mod:`pytest_k8ssec.reports.json`. What ran under a sabotage is left out of both.
        new: of a later one.
    """
    before, after = results_by_control(old), results_by_control(new)
    return [
        one
        for name in sorted({*before, *after})
        for one in _of_control(before.get(name, ()), after.get(name, ()))
    ]  # fmt: skip


def results_by_control(document: Mapping[str, Any]) -> dict[tuple[str, str], list[Entry]]:
    """Results by what they are of: several where a control has parameters, or was tried again. All of them count.

    What ran under a sabotage is left out.

    Args:
        document: report.json's.

    Returns:
        by a control's id and "", or by a user's test and the file that it stands in.
    """
    found: dict[tuple[str, str], list[Entry]] = {}
    for each in document["results"]:
        if each["phase"] in (None, "intact"):
            file = "" if each.get("subject") else str(each.get("place", "")).rpartition(":")[0]
            found.setdefault((each["control"], file), []).append(each)
    return found


def _of_control(old: Sequence[Entry], new: Sequence[Entry]) -> Iterator[Changed]:
    if not new:
        yield _unknown(old[-1], "was judged before, and not in this run")
        return
    before, after = _breaches(old), _breaches(new)
    for lasting, (entry, attack) in after.items():
        # What was waived, and is not any more, is a breach again: who answered for it does not.
        known = lasting in before and (attack.get("waived") or not before[lasting][1].get("waived"))
        yield _changed(Became.UNCHANGED if known else Became.NEW, entry, attack)
    for entry in new:
        if entry["verdict"] == "breached" and not any(map(_is_open, entry["attacks"])):
            # An assertion of the user's own: what it found has no name by which it could be known again.
            yield Changed(Became.NEW, entry["control"], str(entry["severity"]), _first_line(entry))
    yield from _no_more(before, {*after}, old, new)
    yield from _doubtful({each["verdict"] for each in old}, new)


def _breaches(entries: Iterable[Entry]) -> dict[str, tuple[Entry, Entry]]:
    """Result and attack of what got through, by lasting name: of several that are alike one for which nobody answers."""
    found: dict[str, tuple[Entry, Entry]] = {}
    for entry in entries:
        for attack in entry["attacks"]:
            name = _lasting(entry, attack)
            if attack["through"] is not True:
                continue
            if name not in found or (_is_open(attack) and not _is_open(found[name][1])):
                found[name] = entry, attack
    return found


def _is_open(attack: Entry) -> bool:
    return attack["through"] is True and not attack.get("waived")


def _no_more(
    before: Mapping[str, tuple[Entry, Entry]], after: set[str], old: Sequence[Entry], new: Sequence[Entry]
) -> Iterator[Changed]:
    """What became of each breach that is none now."""
    were, tried = _tried(old), _tried(new)
    stopped = Counter(_stopped(new))
    held = all(each["verdict"] == "held" and _is_whole(each) for each in new)
    for lasting, (entry, attack) in before.items():
        if lasting in after:
            continue
        # Of several that are alike, as of a Deployment's pods, all have to be seen; fewer may be there where all held.
        seen = tried[lasting] >= were[lasting] or held
        if stopped[lasting] == tried[lasting] > 0 and seen and all(map(_is_whole, new)):
            yield _changed(Became.RESOLVED, entry, attack)
        elif held and not tried[lasting]:
            yield _changed(Became.GONE, entry, attack)
        else:
            yield _unknown(entry, f"{_words(attack)}: got through before, and is neither tried nor stopped now")


def _tried(entries: Iterable[Entry]) -> Counter[str]:
    """How many attacks of each lasting name were made."""
    return Counter(_lasting(entry, each) for entry in entries for each in entry["attacks"])


def _stopped(entries: Iterable[Entry]) -> Iterator[str]:
    """The lasting names of attacks that were stopped, in cases that could have shown them to succeed."""
    for entry in entries:
        unshown = {each["case"] for each in entry["positives"] if each["succeeded"] is not True}
        shown = {each["case"] for each in entry["positives"]} - unshown
        for attack in entry["attacks"]:
            if attack["through"] is False and attack["case"] in shown:
                yield _lasting(entry, attack)


def _doubtful(before: Collection[str], new: Sequence[Entry]) -> Iterator[Changed]:
    """What can't be told now, beside what got through too; and a control that has nothing to judge any more."""
    was = " and ".join(sorted(before)) or "not judged"
    for entry in new:
        if entry["verdict"] == "inconclusive" or (entry["verdict"] == "not-applicable" not in before and before):
            yield _unknown(entry, f"was {was}, and is {entry['verdict']}: {_first_line(entry)}")
        elif not _is_whole(entry):
            yield _unknown(entry, "broke off, so what it did not get to is not known")
        elif entry.get("doubts"):
            yield _unknown(entry, f"beside what got through, not known: {entry['doubts'][0]}")


def _is_whole(entry: Entry) -> bool:
    return bool(entry.get("whole", True))


def _lasting(entry: Entry, attack: Entry) -> str:
    return lasting_name(attack["case"], attack["what"], attack.get("used", ()), entry.get("cluster", ""))


def _unknown(entry: Entry, why: str) -> Changed:
    return Changed(Became.INCOMPARABLE, entry["control"], str(entry["severity"]), why)


def _first_line(entry: Entry) -> str:
    return str(entry["reason"]).partition("\n")[0]


def _changed(change: Became, entry: Entry, attack: Entry) -> Changed:
    places = (each["place"] for each in entry.get("blamed", ()) if each["case"] == attack["case"])
    return Changed(
        change, entry["control"], attack.get("severity") or str(entry["severity"]), _words(attack), next(places, ""),
        bool(attack.get("waived")),
    )  # fmt: skip


def _words(attack: Entry) -> str:
    return f"{attack['case']}: {attack['what']}"


def read_comparable(path: Path) -> dict[str, Any]:
    """A report that can be compared: one that some run wrote.

    Args:
        path: the file, or its directory.

    Raises:
        SettingsError: it can't be read, or is not as a run writes it.
    """
    found = read_report(path)
    with as_written(path):
        compare_reports(found, found)
    return found


def comparison_lines(found: Iterable[Changed]) -> list[str]:
    """In words: how many of each, then each that is new, resolved or incomparable."""
    found = [*found]
    counts = [f"{sum(one.change is each for one in found)} {each}" for each in Became]
    lines = [", ".join(counts)]
    for change in (Became.NEW, Became.INCOMPARABLE, Became.RESOLVED, Became.GONE):
        lines += [f"{change}: {_line(one)}" for one in found if one.change is change]
    return lines


def _line(one: Changed) -> str:
    severity = f" {one.severity}" if one.severity else ""
    place = f" ({one.place})" if one.place else ""
    return line(f"{one.control}{severity}: {one.words}{place}{', waived' if one.waived else ''}")
