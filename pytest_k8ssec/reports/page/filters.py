"""By what the verdicts of a page can be chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_k8ssec.catalogue.severity import Severity
from pytest_k8ssec.reports.compare import Became
from pytest_k8ssec.reports.page.coverage import VERDICTS
from pytest_k8ssec.reports.result import Entry

SEVERITIES = (*map(str, Severity), "")
CHANGES = (Became.NEW, Became.INCOMPARABLE, Became.RESOLVED, Became.GONE, Became.UNCHANGED)
"""What a reader asks for first."""
_OWN = "own tests"
_TITLES = {"owner": "Owner of a waiver", "change": "Since the baseline"}


@dataclass(frozen=True, slots=True)
class Filter:
    """One way to choose from the verdicts."""

    name: str
    title: str
    options: Sequence[tuple[str, int]]
    """Each value, and how many verdicts have it."""


def facets_of(entry: Entry, changes: Sequence[str]) -> dict[str, Sequence[str]]:
    """By the name of a filter: the values that a result is found by.

    Args:
        entry: as report.json has it.
        changes: what became of its breaches since the baseline.
    """
    owners = [one["owner"] for one in (*entry.get("waived", ()), *entry.get("waivers", ()))]
    own = not entry["subject"]
    return {
        "verdict": [str(entry["verdict"])],
        "severity": [str(entry["severity"]) or _OWN],
        "family": [_OWN if own else str(entry["control"]).partition("-")[0]],
        "framework": [name for name, ids in entry["mappings"].items() if ids],
        "subject": [str(entry["subject"]) or _OWN],
        "owner": [*dict.fromkeys(owners)],
        "change": changes,
    }


def filters_of(facets: Sequence[Mapping[str, Sequence[str]]]) -> list[Filter]:
    """Those that have something to choose from, the values in the order of the page, or of the alphabet.

    Args:
        facets: of each result.
    """
    made: list[Filter] = []
    for name in facets[0] if facets else ():
        counts = Counter(value for each in facets for value in each[name])
        order = {"verdict": VERDICTS, "severity": (*SEVERITIES[:-1], _OWN), "change": CHANGES}.get(name, sorted(counts))
        made.append(
            Filter(name, _TITLES.get(name, name.capitalize()), [(each, counts[each]) for each in order if counts[each]])
        )
    return [each for each in made if each.options]
