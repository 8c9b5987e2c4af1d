"""A breach in words: what is, who is to blame and where that stands, an attack that got through, and what fixes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_k8ssec.plain import columns, cut, folded
from pytest_k8ssec.reports.result import Entry

_INDENT = "    "
_CULPRITS, _CASES = 8, 8
"""So many are named without ``-v``."""
_FEW = 2
_LEAST = 30
"""So much of a line a fix needs to say anything; what came back is left out before that."""


@dataclass(frozen=True, slots=True)
class Breach:
    """What the report knows of a breach, put in order once, and its forms, from short to all."""

    entry: Entry
    findings: Sequence[str]
    """What is, a sentence for each breached case, without its culprits."""
    culprits: Sequence[Entry]
    not_found: Sequence[str]
    """Why a case has no culprit."""
    attack: Entry | None
    positive: Entry | None
    """Of the same case, where it has one that succeeded."""

    @classmethod
    def of(cls, entry: Entry) -> Breach:
        """The breach of a result as in report.json."""
        blamed = entry.get("blamed", [])
        through = [each for each in entry.get("attacks", []) if each["through"] is True and not each.get("waived")]
        shown = [each for each in entry.get("positives", []) if each["succeeded"] is True]
        first = blamed[0]["case"] if blamed else through[0]["case"] if through else ""
        said = [_without_culprits(each) for each in blamed]
        said = said or [f"{each['case']}: {each['what']}" for each in through]
        said = said or str(entry["reason"]).splitlines()[:1] or [str(entry["control"])]
        culprits = {culprit_words(one): one for each in blamed for one in each["culprits"]}
        return cls(
            entry, [*dict.fromkeys(said)], [*culprits.values()],
            [*dict.fromkeys(each["not_found"] for each in blamed if each["not_found"])],
            _of_case(through, first), _of_case(shown, first),
        )  # fmt: skip

    @property
    def headline(self) -> str:
        """``the first finding, and 3 more``."""
        more = len(self.findings) - 1
        return self.findings[0] + (f", and {more} more" if more else "")

    def short(self, width: int) -> list[str]:
        """Two lines: what is and where, what came back and what fixes it; what was sent is in the first already."""
        place = next((f" ({each['place']})" for each in self.culprits if each["place"]), "")
        shown = f" (positive control: {answer(self.positive)})" if self.positive else ""
        said = [f"attack -> {answer(self.attack)}{shown}"] if self.attack else []
        if said and width < _LEAST + len(said[0]):
            said = []
        words = "; ".join([*said, *self._fix()])
        return [*self._head(width, place, short=True), *([cut(f"{_INDENT}{words}", width)] if words else [])]

    def middle(self, width: int) -> list[str]:
        """A line for each: what is, a culprit or two with their places, an attack with its positive control, the fix."""
        lines = [*self._head(width, ""), *self._blamed(width, _FEW)]
        lines += [_cut_evidence(label, each, width) for label, each in self._tried()]
        return [*lines, *(cut(f"{_INDENT}{each}", width) for each in self._fix())]

    def whole(self, width: int) -> list[str]:
        """As it is told where there is room: the culprits, and the whole fix."""
        lines = [*self._head(width, ""), *self._blamed(width, _CULPRITS, whole=True)]
        lines += [part for label, each in self._tried() for part in folded(f"{label}{exchange(each)}", width, "  ")]
        return [*lines, *self._whole_fix(width)]

    def all(self, width: int) -> list[str]:
        """Each case and each reason, too."""
        lines = [*self._head(width, ""), *self._blamed(width, len(self.culprits), whole=True)]
        cases = self.findings if len(self.findings) > 1 else []
        said = [f"{_INDENT}finding: {each}" for each in cases]
        said += [f"{_INDENT}{each}" for each in str(self.entry["reason"]).splitlines()]
        said += [f"{label}{exchange(each)}" for label, each in self._tried() if each is self.positive]
        said += [f"{_INDENT}note: {each}" for each in self.entry.get("notes", [])]
        lines += [part for each in said for part in folded(each, width, "  ")]
        return [*lines, *self._whole_fix(width)]

    def _head(self, width: int, end: str, *, short: bool = False) -> list[str]:
        more = len(self.findings) - 1
        end = (f", and {more} more" if more else "") + end
        name = f"{self.entry['control']}  " + ("" if short else f"{self.entry['severity'] or 'breached'}: ")
        if len(name) + len(end) + len(_INDENT) > width:
            return [*folded(f"{name}{self.findings[0]}{end}", width, _INDENT)]
        return [cut(f"{name}{self.findings[0]}", width, end)]

    def _blamed(self, width: int, most: int, *, whole: bool = False) -> list[str]:
        """Names and places are wrapped; how they let it through is cut, unless it is to be whole."""
        lines: list[str] = []
        for each in self.culprits[:most]:
            name = f"{_INDENT}by: {culprit_words({**each, 'how': ''})}"
            said = f"{name}: {each['how']}" if each["how"] else name
            if whole or columns(name) > width - _FEW * 4:
                lines += folded(said if whole else name, width, "  ")
            else:
                lines.append(cut(said, width))
        if (left := len(self.culprits) - most) > 0:
            lines.append(f"{_INDENT}by: {left} more: -v names them")
        return lines or [cut(f"{_INDENT}by: not found: {why}", width) for why in self.not_found[:1]]

    def _tried(self) -> list[tuple[str, Entry]]:
        """The attack and its positive control, each with what stands before it."""
        said = [(f"{_INDENT}attack: ", self.attack)] if self.attack is not None else []
        if self.positive is not None:
            said.append((f"{_INDENT}positive control: {self.positive['what']}: ", self.positive))
        return said

    def _fix(self) -> list[str]:
        """In a line; of a user's own test there is none."""
        said = str(self.entry["remediation"]).splitlines()
        return [f"fix: {' '.join(said)}"] if said else []

    def _whole_fix(self, width: int) -> list[str]:
        lines = [part for each in self._fix() for part in folded(f"{_INDENT}{each}", width, "  ")]
        return [*lines, *(f"{_INDENT}{each}" for each in to_paste(self.entry))]


def culprit_words(one: Entry) -> str:
    """A culprit in a line: ``ClusterRoleBinding reporter (infra/__main__.py:12): binds ClusterRole cluster-admin``."""
    where = f"{one['namespace']}/" if one["namespace"] else ""
    field = f", {one['field']}" if one["field"] else ""
    place = f" ({one['place']})" if one["place"] else ""
    how = f": {one['how']}" if one["how"] else ""
    return f"{one['kind']} {where}{one['name']}{field}{place}{how}"


def exchange(one: Entry) -> str:
    """From where something was tried, what, and what came back."""
    source = one["source"]
    where = f"{source['kind']} {source['name']}" + (f" as {source['identity']}" if source.get("identity") else "")
    words = f" ({one['detail']})" if one.get("detail") else ""
    return f"{where}: {one['request']} -> {answer(one)}{words}"


def answer(one: Entry) -> str:
    """What came back: a status, or what became of the connection."""
    return f"HTTP {one['status']}" if one.get("status") is not None else str(one["outcome"])


def _cut_evidence(label: str, one: Entry, width: int) -> str:
    """In one line, which says what came back, whatever has no room before it."""
    whole = f"{label}{exchange(one)}"
    return whole if columns(whole) <= width else cut(f"{label}{one['request']}", width, f" -> {answer(one)}")


def to_paste(entry: Entry) -> list[str]:
    """The command that shows what can be pasted, where there is something."""
    return [f"to paste: `k8ssec controls {entry['control']}`"] if entry.get("snippets") else []


def _of_case(attempts: Sequence[Entry], case: str) -> Entry | None:
    return next((each for each in attempts if each["case"] == case), attempts[0] if attempts else None)


def _without_culprits(blame: Entry) -> str:
    """A finding names its culprits at its end, where they are told on lines of their own."""
    said = str(blame["finding"])
    return said.partition(f", by {blame['culprits'][0]['kind']} ")[0] if blame["culprits"] else said
