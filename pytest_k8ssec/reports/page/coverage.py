"""Which ids of which frameworks the controls of a run judged, and how that ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_k8ssec.catalogue.frameworks import FRAMEWORKS, Framework
from pytest_k8ssec.reports.result import Entry

VERDICTS = ("breached", "inconclusive", "waived", "held", "not-applicable")
"""What a reader has to know first."""


@dataclass(frozen=True, slots=True)
class Covered:
    """One id of a framework."""

    id: str
    title: str
    url: str
    verdict: str
    """The worst of its controls'."""
    partly: bool
    """Whether some of its controls could not judge anything."""
    controls: Sequence[tuple[str, str]]
    """Each control that maps to it, and its verdict."""


@dataclass(frozen=True, slots=True)
class FrameworkCoverage:
    """A framework, as far as this run judged it."""

    key: str
    name: str
    edition: str
    url: str
    covered: Sequence[Covered]
    unjudged: Sequence[tuple[str, str]]
    """Id and title of each that a packaged control maps to, and none of this run."""

    @property
    def counts(self) -> Sequence[tuple[str, int]]:
        """How many ids ended so, by verdict."""
        found = [(verdict, sum(each.verdict == verdict for each in self.covered)) for verdict in VERDICTS]
        return [each for each in found if each[1]]


def frameworks_covered(entries: Iterable[Entry]) -> list[FrameworkCoverage]:
    """Each framework that we know.

    Args:
        entries: results as report.json has them, none under a sabotage.
    """
    entries = [*entries]
    return [_of(each, entries) for each in FRAMEWORKS.values()]


def _of(framework: Framework, entries: Sequence[Entry]) -> FrameworkCoverage:
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in entries:
        for ident in entry["mappings"].get(framework.key, ()):
            found.setdefault(ident, []).append((entry["control"], entry["verdict"]))
    known = [each for each in framework.ids if each in found]
    others = sorted(each for each in found if each not in framework.ids)  # of another version of this tool
    return FrameworkCoverage(
        framework.key, framework.name, framework.edition, framework.url,
        [_covered(framework, each, found[each]) for each in (*known, *others)],
        [(ident, title) for ident, title in framework.ids.items() if ident not in found],
    )  # fmt: skip


def _covered(framework: Framework, ident: str, controls: Sequence[tuple[str, str]]) -> Covered:
    known = ident in framework.ids
    verdicts = {verdict for _, verdict in controls}
    return Covered(
        ident, framework.ids.get(ident, ""), framework.link(ident) if known else "",
        min(verdicts, key=VERDICTS.index), "not-applicable" in verdicts, sorted(set(controls)),
    )  # fmt: skip
