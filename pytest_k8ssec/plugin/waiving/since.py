"""What changed since the run that the baseline is of, and which breaches do not fail the run because of it, or are too mild."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_k8ssec.plugin.session import SETTINGS

if TYPE_CHECKING:
    from pytest_k8ssec.reports.compare import Changed
    from pytest_k8ssec.reports.result import Entry, Result

_BASELINE = pytest.StashKey[Mapping[str, Any]]()
_SHOWN = 24


def read_baseline_report(config: pytest.Config) -> None:
    """Read the report that this run is compared with, before anything is made. Raises SettingsError."""
    path = config.stash[SETTINGS].baseline
    if path is not None:
        from pytest_k8ssec.reports.compare import read_comparable

        config.stash[_BASELINE] = read_comparable(path)


def tolerated(config: pytest.Config, result: Result) -> str:
    """Why a breached result does not fail the run; "" where it does. It stays breached in every report.

    It does if anything beside the breach is not known, or the test broke off: nobody can say that there is nothing worse. A test
    of the user's own has no severity, so it is never too mild; a breach that no attack shows is never an old one.
    """
    settings = config.stash[SETTINGS]
    if settings.fail_on == "any" or result.phase.name not in (None, "intact"):
        return ""
    if not result.whole or result.judge.doubts:
        return ""
    if settings.fail_on == "new":
        return f"in the baseline, {settings.baseline}" if _all_known(config, result.to_json()) else ""
    from pytest_k8ssec.catalogue.severity import Severity  # here, as each pytest run imports this

    ranks = [*map(str, Severity)]
    mild = result.severity in ranks and ranks.index(result.severity) > ranks.index(settings.fail_on)
    return f"{result.severity}, and only {settings.fail_on} and worse fails" if mild else ""


def _all_known(config: pytest.Config, entry: Entry) -> bool:
    from pytest_k8ssec.reports.compare import Became, compare_reports

    before = [each for each in config.stash[_BASELINE]["results"] if each["control"] == entry["control"]]
    found = compare_reports({"results": before}, {"results": [entry]})
    return not any(each.change is Became.NEW and not each.waived for each in found)


def since_baseline(config: pytest.Config, entries: Sequence[Entry]) -> dict[str, Any] | None:
    """What changed since, as report.json has it; None where there is no baseline.

    Args:
        config: of the process that has the terminal.
        entries: results as in report.json.
    """
    found = _since(config, entries)
    if found is None:
        return None
    changes, unjudged = found
    told = [each.to_json() for each in changes]
    return {"baseline": str(config.stash[SETTINGS].baseline), "changes": told, "unjudged": unjudged}


def comparison(config: pytest.Config, entries: Sequence[Entry]) -> list[str]:
    """What changed since, in lines; none where there is no baseline."""
    found = _since(config, entries)
    if found is None:
        return []
    from pytest_k8ssec.reports.compare import comparison_lines

    changes, left = found
    counts, *lines = comparison_lines(changes)
    more = [f"... and {len(lines) - _SHOWN} more: `k8ssec diff` tells all"] if len(lines) > _SHOWN else []
    unjudged = [f"{left} controls of the baseline were not run"] if left else []
    return [f"since {config.stash[SETTINGS].baseline}: {counts}", *lines[:_SHOWN], *more, *unjudged]


def _since(config: pytest.Config, entries: Sequence[Entry]) -> tuple[list[Changed], int] | None:
    """What changed of what was run, and how many controls of the baseline were not; None where there is no baseline."""
    if _BASELINE not in config.stash:
        return None
    from pytest_k8ssec.reports.compare import compare_reports

    ran = {each["control"] for each in entries}
    known = config.stash[_BASELINE]["results"]
    before = [each for each in known if each["control"] in ran]
    unjudged = len({each["control"] for each in known} - ran)
    return compare_reports({"results": before}, {"results": entries}), unjudged
