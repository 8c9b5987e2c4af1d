"""How verdicts came and went over the last runs: of each run how many there were, and which controls' changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.reports.compare import results_by_control
from pytest_k8ssec.reports.page.coverage import VERDICTS
from pytest_k8ssec.reports.page.evidence import Rows, first_of

RUNS_MAX = 20
"""So many runs stand side by side: the last ones."""
_CONTROLS_MAX = 60


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """What is kept of a run's report: little, as there may be many."""

    id: str
    started: str
    """UTC, ISO 8601."""
    project: str
    verdicts: Mapping[tuple[str, str], str]
    """The worst of each control, by what :func:`results_by_control` has it by."""

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> EarlierRun:
        """Of report.json's document."""
        worst = {
            name: min((str(each["verdict"]) for each in entries), key=VERDICTS.index)
            for name, entries in results_by_control(report).items()
        }
        run = report["run"]
        return cls(str(run["id"]), str(run["started"]), str(run["stack"].get("project", "")), worst)


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run, beside the one before it."""

    id: str
    started: str
    counts: Sequence[int]
    """Of each verdict, in the order of ``VERDICTS``."""
    changed: int | None
    """How many controls had another verdict, or none, in the run before; None of the first one."""


@dataclass(frozen=True, slots=True)
class History:
    """The last runs, this one at the end."""

    runs: Sequence[RunRow]
    left: int
    """How many earlier ones are not shown."""
    moved: Rows
    """Each control whose verdict was not the same in all of them: its name, and its verdict in each run, "" for none."""
    verdicts: Sequence[str] = VERDICTS


def history_of(report: Mapping[str, Any], earlier: Iterable[EarlierRun]) -> History | None:
    """The runs in the order in which they began; None where there is no earlier one.

    Args:
        report: report.json's document of this run.
        earlier: any runs; one that stands there twice, or is this one, counts once.

    Raises:
        SettingsError: one is of another project: its verdicts are of something else.
    """
    this = EarlierRun.of(report)
    known = {each.id: each for each in earlier} | {this.id: this}
    for each in known.values():
        if each.project != this.project:
            raise SettingsError(
                f"history: run {each.id} is of {_stack(each)}, and run {this.id} of {_stack(this)}",
                fix="name runs of one stack",
            )
    runs = sorted(known.values(), key=lambda each: (each.started, each.id))
    if len(runs) < 2:
        return None
    shown = runs[-RUNS_MAX:]
    before = [None, *runs][-len(shown) - 1 : -1]
    rows = [_row(each, last) for each, last in zip(shown, before, strict=True)]
    names = sorted({name for each in shown for name in each.verdicts})
    lines = [(name, [each.verdicts.get((name, file), "") for each in shown]) for name, file in names]
    return History(
        rows, len(runs) - len(shown), first_of([each for each in lines if len(set(each[1])) > 1], _CONTROLS_MAX)
    )


def _row(run: EarlierRun, before: EarlierRun | None) -> RunRow:
    counts, changed = Counter(run.verdicts.values()), None
    if before is not None:
        names = {*run.verdicts, *before.verdicts}
        changed = sum(run.verdicts.get(name) != before.verdicts.get(name) for name in names)
    return RunRow(run.id, run.started, [counts[each] for each in VERDICTS], changed)


def _stack(run: EarlierRun) -> str:
    return f"stack {run.project}" if run.project else "no stack"
