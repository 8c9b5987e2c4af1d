"""Turns a test that ran, or that could not run, into its ``Result``.

Whether that passes, fails or skips is said in ``pass_or_fail``; pytest's report gets it in ``reporting``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from traceback import walk_tb
from typing import Any

import pytest

from pytest_k8ssec.catalogue.annotated import control_of
from pytest_k8ssec.errors import NoAccess
from pytest_k8ssec.plugin import session
from pytest_k8ssec.plugin.culprits import changed_objects, name_culprits, own_place, testbed_of
from pytest_k8ssec.plugin.judged import INTACT, RESULT, stands_on_docker
from pytest_k8ssec.plugin.pass_or_fail import Expectation, expect
from pytest_k8ssec.plugin.waiving import since, told
from pytest_k8ssec.reports.result import Result
from pytest_k8ssec.sabotages.phases import Phase
from pytest_k8ssec.verdict import Judge, Verdict

_PACKAGE = Path(__file__).parents[1]


def result_of_test(
    item: pytest.Function, judge: Judge, phase: Phase, ended_by: BaseException | None, seconds: float
) -> Result:
    """The result of a test that ran.

    Whatever ended the body early can only lower the verdict: an attack that got through stays a breach, and anything else
    is inconclusive, or not-applicable where access was lacking before anything was tried.

    Args:
        ended_by: the exception that the test's body ended with.
    """
    gave_up = isinstance(ended_by, (NoAccess, pytest.skip.Exception))
    if gave_up:
        judge.not_applicable(str(ended_by))
    control = control_of(item.function)
    testbed = testbed_of(item)
    cluster = testbed.cluster.name if testbed is not None and testbed.has_cluster else ""  # none is made for its name
    became = _waive(item, judge, phase, cluster, whole=ended_by is None)
    verdict, why = judge.verdict()
    if verdict is Verdict.BREACHED and ended_by is not None and not gave_up:
        why = f"{why}\nand the test ended early: {type(ended_by).__name__}: {ended_by}"
    known_so = verdict is Verdict.BREACHED or (verdict is Verdict.NOT_APPLICABLE and gave_up)
    if ended_by is not None and not known_so:
        said = f"{type(ended_by).__name__}: {ended_by}"
        if verdict in (Verdict.HELD, Verdict.WAIVED) and isinstance(ended_by, AssertionError) and not _ours(ended_by):
            # The test's own assertion says more than its records: it found something that must not be.
            verdict, why = Verdict.BREACHED, said
        else:
            # That there was nothing to attack is no reason where it was not found out.
            rest = "" if verdict is Verdict.NOT_APPLICABLE else why
            verdict, why = Verdict.INCONCLUSIVE, f"{said}\n{rest}".rstrip()
    if verdict is Verdict.BREACHED or judge.waived:
        name_culprits(item, judge)
    made = Result.of(control, item.name, phase, verdict, why, seconds, judge)
    place = own_place(item) if control is None else ""
    made = replace(made, waivers=tuple(became), cluster=cluster, whole=ended_by is None, place=place)
    return replace(made, changed=changed_objects(item.config)) if phase.active else made


def _waive(item: pytest.Function, judge: Judge, phase: Phase, cluster: str, *, whole: bool) -> list[dict[str, Any]]:
    """Have the judge know what is waived; returns what became of each waiver.

    In another state of the cluster than the intact one, only what was waived there is: a sabotage is noticed, whatever glob what
    it breaches happens to match.
    """
    if not session.waivers(item.config):
        return []
    names = told.names_of(item)
    waivers = told.waivers_of(item.config, names)
    if not waivers:
        return []
    from pytest_k8ssec.plugin.waiving.waive import states, waive

    day, known = item.config.stash[told.TODAY], item.config.stash[told.WAIVED]
    intact = phase.name in (None, "intact")
    waive(judge, waivers, day, None if intact else known.get(names[0], frozenset()), cluster)
    if phase.name == "intact":
        known[names[0]] = frozenset(each.lasting for each in judge.waived)
    return states(judge, waivers, day, whole=whole) if intact else []


def _files_of(error: BaseException) -> list[Path]:
    """The files whose code an error came through: who raised it is the last."""
    return [Path(frame.f_code.co_filename) for frame, _ in walk_tb(error.__traceback__)]


def _ours(error: BaseException) -> bool:
    """Whether an error was raised by this package's code: an assertion that fails there is a bug, and no finding."""
    return any(each.is_relative_to(_PACKAGE) for each in _files_of(error)[-1:])


def given_up(error: BaseException) -> bool:
    """Whether a set-up was given up by our own fixtures, and not skipped by a mark, a hook or somebody else's fixture."""
    said = [each for each in _files_of(error) if each.parent.name != "_pytest"]
    return any(each.is_relative_to(_PACKAGE) for each in said[-1:])


def not_run(item: pytest.Item, phase: Phase, reason: str, *, skipped: bool) -> Result:
    """The result of a test whose set-up failed: nothing was tried, so nothing is known."""
    verdict = Verdict.NOT_APPLICABLE if skipped else Verdict.INCONCLUSIVE
    control = control_of(getattr(item, "function", None))
    made = Result.of(control, item.name, phase, verdict, reason, 0.0, Judge())
    return replace(made, place=own_place(item)) if control is None else made


def current_phase(item: pytest.Item) -> Phase:
    """In which state of the cluster a test runs."""
    from pytest_k8ssec.plugin.ordering import phase_of

    return phase_of(item) or Phase()


def note_result(item: pytest.Item, result: Result) -> None:
    """Keep a result for the test's report, and what the intact cluster was like for the phases that follow."""
    item.stash[RESULT] = result
    if result.verdict is Verdict.INCONCLUSIVE and stands_on_docker(item):
        from pytest_k8ssec.machine import docker

        docker.notice_daemon()
    if result.phase.name == "intact":
        item.config.stash[INTACT][result.control] = result.verdict


def expectation_for(config: pytest.Config, result: Result) -> Expectation:
    """What the result means for pytest, under this run's settings."""
    settings = config.stash[session.SETTINGS]
    return expect(
        result.control,
        result.phase,
        result.verdict,
        strict=settings.strict == "on" or (settings.strict == "auto" and settings.cluster is None),
        declared=settings.excused(result.control),
        missing=result.missing,
        tolerated=since.tolerated(config, result) if result.verdict is Verdict.BREACHED else "",
    )
