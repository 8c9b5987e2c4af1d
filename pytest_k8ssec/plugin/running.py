"""Runs a test that judges: puts its sabotage in force first, and lets its verdict decide whether it passes."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_k8ssec.catalogue.annotated import control_of
from pytest_k8ssec.errors import K8ssecError
from pytest_k8ssec.plugin import guard, session
from pytest_k8ssec.plugin.judged import INTACT, RESULT, stands_on_docker

if TYPE_CHECKING:
    from pytest_k8ssec.reports.result import Result
    from pytest_k8ssec.sabotages.phases import Phase


_BREACHED: pytest.StashKey[Result] = pytest.StashKey()
"""Of an item: the last of its tries in which something got through."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Undo a sabotage that the coming test does not run under, before any of its fixtures is made."""
    if RESULT in item.stash:  # of an earlier try of the same test
        del item.stash[RESULT]
    guard.insist(item)
    _stop_without_docker(item)
    if session.begun_testbeds(item.config) is not None:
        from pytest_k8ssec.plugin.background import end_stretch

        end_stretch(item)
    saboteur = session.begun_saboteur(item.config)
    if saboteur is None:
        return
    from pytest_k8ssec.plugin.result_of_test import current_phase

    try:
        if saboteur.in_force != current_phase(item).active:
            saboteur.leave()
        saboteur.check()
    except K8ssecError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def _stop_without_docker(item: pytest.Item) -> None:
    """Once docker went away, nothing is known of its clusters any more: no test waits for them until its deadlines."""
    if stands_on_docker(item):
        from pytest_k8ssec.machine import docker

        if (lost := docker.gone()) is not None:
            raise pytest.fail.Exception(str(lost), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run a test that uses ``judge`` and let its verdict decide, not its return."""
    judge = pyfuncitem.funcargs.get("judge")
    strange = guard.replaced(pyfuncitem)
    if judge is None and not strange:
        return (yield)
    from pytest_k8ssec.plugin import background, result_of_test
    from pytest_k8ssec.verdict import Judge

    if not isinstance(judge, Judge) and not strange:  # a fixture of somebody else's
        return (yield)
    phase = result_of_test.current_phase(pyfuncitem)
    _prepare(pyfuncitem, phase, strange)
    assert isinstance(judge, Judge)
    background.begin_apart(pyfuncitem)
    ran = background.take_apart(pyfuncitem)
    started = time.monotonic()
    ended_by: BaseException | None = None
    try:
        with background.replayed(pyfuncitem, ran) if ran else nullcontext():
            yield
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except BaseException as error:  # noqa: BLE001 - judged below, and raised again if it is no error of ours
        ended_by = _in_our_words(error, pyfuncitem)
    seconds = ran.seconds if ran else time.monotonic() - started
    _conclude(pyfuncitem, result_of_test.result_of_test(pyfuncitem, judge, phase, ended_by, seconds), ended_by)
    return True


def _in_our_words(error: BaseException, item: pytest.Function) -> BaseException:
    """The error; where a disk of ours filled up under a control, that, as the control's traceback tells a user nothing."""
    if control_of(item.function) is None:
        return error
    from pytest_k8ssec.machine.disks import of_disk

    return of_disk(error) or error


def _prepare(item: pytest.Function, phase: Phase, strange: Sequence[str]) -> None:
    """What comes before a phase; where that fails the report says so, as it does of a set-up that failed.

    Args:
        strange: what a packaged control was given that is not ours.
    """
    try:
        if strange:
            pytest.fail(f"{', '.join(strange)}: not what our fixtures gave, so nothing is judged on it", pytrace=False)
        _check_intact(item, phase)
        _put_in_force(item, phase)
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except BaseException as error:
        from pytest_k8ssec.plugin.result_of_test import not_run, note_result

        note_result(item, not_run(item, phase, str(error), skipped=isinstance(error, pytest.skip.Exception)))
        raise


def _check_intact(item: pytest.Function, phase: Phase) -> None:
    """A control that does not hold on the intact cluster can't be shown to notice anything."""
    control = control_of(item.function)
    if control is None or phase.name in (None, "intact"):
        return
    from pytest_k8ssec.verdict import Verdict

    intact = item.config.stash[INTACT].get(control.id)
    if intact not in (None, Verdict.HELD, Verdict.WAIVED):
        message = f"not run: {control.id} was {intact} on the intact cluster, so it can't be shown to notice anything"
        if intact is Verdict.NOT_APPLICABLE:
            pytest.skip(message)
        pytest.fail(message, pytrace=False)
    pack = phase.active
    if intact is Verdict.WAIVED and pack is not None and pack.needs_cluster and pack.touching(control.id):
        pytest.fail(
            f"not run: {control.id} is waived on the intact cluster, and on another one nobody can tell what a sabotage adds",
            pytrace=False,
        )


def _put_in_force(item: pytest.Function, phase: Phase) -> None:
    """Apply the phase's live sabotage; one with a cluster of its own came with the cluster."""
    if phase.active is None or phase.active.needs_cluster:
        return
    resolve = guard.resolver(item, phase.active)
    try:
        refresh = resolve("k8ssec_testbed").refresh_pool
        saboteur = session.saboteur(item.config, refresh)
        if saboteur.in_force != phase.active:
            refresh()  # what a sabotage rolls out needs the room that our own pods have taken of a quota
        saboteur.enter(phase.active, resolve("cluster"), resolve)
    except K8ssecError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def _never_better(item: pytest.Function, result: Result) -> Result:
    """A test that is run again, as pytest-rerunfailures does, may get clearer: but what got through once got through."""
    from pytest_k8ssec.verdict import Verdict

    if result.verdict is Verdict.BREACHED:
        item.stash[_BREACHED] = result
        return result
    before = item.stash.get(_BREACHED, None)
    if before is None:
        return result
    return replace(before, reason=f"{before.reason}\nand when it was run again: {result.verdict}")


def _conclude(item: pytest.Function, result: Result, ended_by: BaseException | None) -> None:
    """Pass, fail or skip the test by its verdict."""
    from pytest_k8ssec.plain import shown
    from pytest_k8ssec.plugin.pass_or_fail import PytestOutcome
    from pytest_k8ssec.plugin.result_of_test import expectation_for, note_result
    from pytest_k8ssec.reports.terminal import explain_result
    from pytest_k8ssec.verdict import Verdict

    result = _never_better(item, result)
    note_result(item, result)
    expected = expectation_for(item.config, result)
    if expected.outcome is PytestOutcome.SKIPPED:
        pytest.skip(f"{expected.headline}: {shown(result.reason)}")
    if expected.outcome is PytestOutcome.FAILED:
        if ended_by is not None and not isinstance(ended_by, (K8ssecError, pytest.skip.Exception)):
            if result.verdict is Verdict.BREACHED and result.phase.name not in (None, "intact"):  # no summary tells it
                item.add_report_section("call", "k8ssec", explain_result(result.to_json(), expected.headline))
            raise ended_by  # its traceback shows where in the test
        pytest.fail(explain_result(result.to_json(), expected.headline), pytrace=False)
