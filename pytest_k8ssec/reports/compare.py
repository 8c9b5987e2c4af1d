"""What changed between two runs, told by what got through: new, resolved, unchanged, and what can't be compared.

A breach is the same in both where it has the same lasting name. It is *resolved* only where that was seen: the same attack was
stopped, and its case could have shown it. Where its control held and did not make that attack, it is *gone*: what was attacked
is not there any more, or is declared to be so. Whatever nobody could tell is *incomparable*, and so is a control that one of the
runs did not judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from pytest_k8ssec.reports.lasting import lasting_name
from pytest_k8ssec.reports.result import Entry

_JUDGED = ("held", "breached", "waived", "not-applicable")


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


def lasting_breaches(entry: Entry) -> dict[str, Entry]:
    """What got through in a result, by its lasting name: of several that are alike the first.

    One that no attack shows, such as an assertion of the user's own, has no name that lasts: it is none of these.
    """
    found: dict[str, Entry] = {}
    for attack in entry["attacks"]:
        if attack["through"] is True:
            found.setdefault(_lasting(entry, attack), attack)
    return found


def compare_reports(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Changed]:
    """What changed, by control; of a breach in both runs nothing is said but that.

    Args:
        old: report.json's document of a run, see :mod:`pytest_k8ssec.reports.json`. What ran under a sabotage is left out of both.
        new: of a later one.
    """
    before, after = _plain(old), _plain(new)
    return [
        one
        for name in sorted({*before, *after})
        for one in _of_control(name, before.get(name), after.get(name))
    ]  # fmt: skip


def _plain(document: Mapping[str, Any]) -> dict[str, Entry]:
    """Results by what they are of; a test that was tried again is what it was at last."""
    return {each["control"]: each for each in document["results"] if each["phase"] in (None, "intact")}


def _of_control(name: str, old: Entry | None, new: Entry | None) -> Iterator[Changed]:
    if new is None:
        yield Changed(Became.INCOMPARABLE, name, _severity(old), "was judged before, and not in this run")
        return
    before = lasting_breaches(old) if old is not None else {}
    after = lasting_breaches(new)
    for lasting, attack in after.items():
        yield _changed(Became.UNCHANGED if lasting in before else Became.NEW, new, attack)
    if new["verdict"] == "breached" and not any(not attack.get("waived") for attack in after.values()):
        reason = str(new["reason"]).partition("\n")[0]
        alike = old is not None and old["verdict"] == "breached" and old["reason"] == new["reason"]
        yield Changed(Became.UNCHANGED if alike else Became.NEW, name, _severity(new), reason)
    stopped = frozenset(_stopped(new))
    for lasting, attack in before.items():
        if lasting in after:
            continue
        assert old is not None  # nothing was before
        if lasting in stopped:
            yield _changed(Became.RESOLVED, old, attack)
        elif new["verdict"] == "held":
            yield _changed(Became.GONE, old, attack)
        else:
            why = f"{_words(attack)}: got through before, and is neither tried nor stopped now"
            yield Changed(Became.INCOMPARABLE, name, _severity(old), why)
    yield from _unknown(name, old, new)


def _unknown(name: str, old: Entry | None, new: Entry) -> Iterator[Changed]:
    """A control that told something before, and can't now."""
    if new["verdict"] in _JUDGED and not (old is not None and _gone(old, new)):
        return
    was = "not judged" if old is None else old["verdict"]
    reason = str(new["reason"]).partition("\n")[0]
    yield Changed(Became.INCOMPARABLE, name, _severity(new), f"was {was}, and is {new['verdict']}: {reason}")


def _gone(old: Entry, new: Entry) -> bool:
    """Whether a control that had something to judge has nothing any more: nobody shows that this is well."""
    return bool(new["verdict"] == "not-applicable" != old["verdict"])


def _stopped(entry: Entry) -> Iterator[str]:
    """The lasting names of attacks that were stopped, each time, in cases that could have shown them to succeed."""
    unshown = {each["case"] for each in entry["positives"] if each["succeeded"] is not True}
    shown = {each["case"] for each in entry["positives"]} - unshown
    stopped: dict[str, bool] = {}
    for attack in entry["attacks"]:
        name, so = _lasting(entry, attack), attack["through"] is False and attack["case"] in shown
        stopped[name] = so and stopped.get(name, True)
    yield from (name for name, so in stopped.items() if so)


def _lasting(entry: Entry, attack: Entry) -> str:
    return lasting_name(attack["case"], attack["what"], attack.get("used", ()), entry.get("cluster", ""))


def _changed(change: Became, entry: Entry, attack: Entry) -> Changed:
    places = (each["place"] for each in entry.get("blamed", ()) if each["case"] == attack["case"])
    return Changed(
        change, entry["control"], attack.get("severity") or _severity(entry), _words(attack), next(places, ""),
        bool(attack.get("waived")),
    )  # fmt: skip


def _words(attack: Entry) -> str:
    return f"{attack['case']}: {attack['what']}"


def _severity(entry: Entry | None) -> str:
    return str(entry["severity"]) if entry is not None else ""


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
    return f"{one.control}{severity}: {one.words}{place}{', waived' if one.waived else ''}"
