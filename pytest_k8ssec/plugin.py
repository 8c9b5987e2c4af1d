"""The pytest hooks, thin: whatever is not about pytest lives elsewhere and is imported once a test needs it."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_k8ssec import curtain, guard, session
from pytest_k8ssec.catalogue import ROOT, is_control_file, packaged_control
from pytest_k8ssec.chosen import Chosen
from pytest_k8ssec.control import Severity, control_of
from pytest_k8ssec.errors import DiskError, K8ssecError, SettingsError
from pytest_k8ssec.families import FAMILIES
from pytest_k8ssec.frameworks import FRAMEWORKS
from pytest_k8ssec.plain import shown
from pytest_k8ssec.results import Expectation, Outcome, Phase, expect
from pytest_k8ssec.secrecy.redact import redact, redacted
from pytest_k8ssec.session import SETTINGS, begun_sites, teller
from pytest_k8ssec.settings import OPTIONS
from pytest_k8ssec.summary import Summary
from pytest_k8ssec.verdict import Judge, Verdict

if TYPE_CHECKING:
    from pytest_k8ssec.results import Result

_FIXTURES = "pytest_k8ssec.fixtures"
pytest_plugins = (_FIXTURES, "pytest_k8ssec.ordering", "pytest_k8ssec.curtain")

_RESULT = pytest.StashKey["Result"]()
_BASELINE = pytest.StashKey[dict[str, Verdict]]()
_TOLD = pytest.StashKey[set[str]]()
_SUMMARY = "k8ssec-summary"
_ABOUT = "k8ssec_about"
_CHOSEN = "k8ssec_chosen"

_HOLLOW = "the test passed without a verdict: a hook or a plugin answered in its place, so nothing was judged"

_WORDS = {
    Verdict.HELD: (".", "HELD"),
    Verdict.BREACHED: ("B", "BREACHED"),
    Verdict.INCONCLUSIVE: ("I", "INCONCLUSIVE"),
    Verdict.NOT_APPLICABLE: ("n", "NOT-APPLICABLE"),
}


# -- settings ---------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Each setting as an option and as an ini value."""
    group = parser.getgroup("k8ssec", "Kubernetes security (pytest-k8ssec)")
    for option in OPTIONS:
        common: dict[str, Any] = {"dest": option.ini, "default": None, "help": option.help}
        if option.kind == "flag":
            group.addoption(option.flag, action="store_true", **common)
        elif option.repeatable:
            group.addoption(option.flag, action="append", metavar=option.metavar, **common)
        elif option.name == "strict":
            group.addoption(option.flag, nargs="?", const="on", metavar=option.metavar, **common)
        else:
            group.addoption(option.flag, metavar=option.metavar, **common)
        described = f"{option.help} (also {option.flag}, {option.env})"
        if option.repeatable:
            parser.addini(option.ini, described, type="linelist", default=None)
        else:
            parser.addini(option.ini, described, type="string", default=None)


def pytest_configure(config: pytest.Config) -> None:
    """Merge the settings, register the markers, add the packaged controls to what is collected."""
    try:
        settings = session.configure(config)
        if settings.sabotage and _is_distributed(config):
            raise SettingsError("--k8ssec-sabotage with -n: a sabotage changes the cluster that all workers share")
    except (SettingsError, DiskError) as error:
        raise pytest.UsageError(redact(str(error))) from None
    journal = session.journal(config)
    earlier = journal.earlier.values() if journal else ()
    config.stash[_BASELINE] = {
        entry["control"]: Verdict(entry["verdict"]) for entry in earlier if entry["phase"] == "intact"
    }
    config.stash[_TOLD] = set()
    for family in FAMILIES.values():
        config.addinivalue_line("markers", f"{family.id}: controls of the family {family.title}")
    for framework in FRAMEWORKS.values():
        config.addinivalue_line("markers", f"{framework.key}: controls with a reference to {framework.name}")
    for severity in Severity:
        config.addinivalue_line("markers", f"severity_{severity}: controls of severity {severity}")
    config.addinivalue_line("markers", "slow: takes more than ten seconds")
    chosen = Chosen(_judges)
    config.pluginmanager.register(chosen, _CHOSEN)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Summary(config, chosen), _SUMMARY)
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(_Xdist(), "k8ssec-xdist")
    if settings.controls and str(ROOT) not in config.args:
        config.args.append(str(ROOT))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Progress of a sabotage run, once there is a terminal to tell it to."""
    config = session.config
    if config.stash[SETTINGS].sabotage:
        from pytest_k8ssec.progress import Progress

        config.pluginmanager.register(Progress(teller(config)), "k8ssec-progress")


def _is_distributed(config: pytest.Config) -> bool:
    """Whether xdist runs the tests in several processes."""
    return bool(getattr(config.option, "numprocesses", None)) or getattr(config.option, "dist", "no") != "no"


class _Xdist:
    """Hooks that exist only where xdist is installed."""

    def pytest_configure_node(self, node: Any) -> None:
        """All workers share the controller's run."""
        session.lend_to_worker(node.config, node.workerinput)

    def pytest_testnodedown(self, node: Any) -> None:
        """The controller has no cluster of its own to describe in the report: its workers' is theirs together."""
        summary: Summary | None = node.config.pluginmanager.get_plugin(_SUMMARY)
        told = getattr(node, "workeroutput", {})
        if summary is not None and told.get(_ABOUT):
            summary.describe(told[_ABOUT])
        chosen: Chosen | None = node.config.pluginmanager.get_plugin(_CHOSEN)
        if chosen is not None:
            chosen.ids.update(told.get(_CHOSEN, ()))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A worker tells the controller what it worked on."""
        held = begun_sites(session.config)
        output = getattr(session.config, "workeroutput", None)
        if output is None:
            return
        if held is not None:
            output[_ABOUT] = held.describe()
        chosen: Chosen | None = session.config.pluginmanager.get_plugin(_CHOSEN)
        if chosen is not None:
            output[_CHOSEN] = sorted(chosen.ids)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Whatever is still there goes, also where the session broke off; after its regular end there is nothing left."""
    session.close(config, failed=True)


# -- collection -------------------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Whatever is collected, packaged controls get our fixtures."""
    guard.install(session)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """The packaged controls, whatever ``python_files`` says, and each of them once."""
    found = yield
    if is_control_file(file_path) and not any(isinstance(each, pytest.Module) for each in found):
        return [*found, pytest.Module.from_parent(parent, path=file_path)]
    return found


def pytest_itemcollected(item: pytest.Item) -> None:
    """Make a control findable by its id (-k) and by family, framework and severity (-m)."""
    control = control_of(getattr(item, "function", None))
    if control is None:
        return
    item.extra_keyword_matches.add(control.id)
    marks = [
        control.family.id,
        f"severity_{control.severity}",
        *(name for name, ids in control.mappings.items() if ids),
    ]
    for mark in [*marks, *(["slow"] if control.slow else [])]:
        item.add_marker(mark)


# -- running ----------------------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Undo a sabotage that the coming test does not run under, before any of its fixtures is made."""
    if _RESULT in item.stash:  # of an earlier try of the same test
        del item.stash[_RESULT]
    guard.insist(item)
    _stop_without_docker(item)
    saboteur = session.begun_saboteur(item.config)
    if saboteur is None:
        return
    try:
        if saboteur.in_force != _phase(item).active:
            saboteur.leave()
        saboteur.check()
    except K8ssecError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def _stop_without_docker(item: pytest.Item) -> None:
    """Once docker went away, nothing is known of its clusters any more: no test waits for them until its deadlines."""
    if _stands_on_docker(item):
        from pytest_k8ssec import docker

        if (lost := docker.gone()) is not None:
            raise pytest.fail.Exception(str(lost), pytrace=False)


def _stands_on_docker(item: pytest.Item) -> bool:
    return "k8ssec_site" in getattr(item, "fixturenames", ()) and session.begun_sites(item.config) is not None


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run a test that uses ``judge`` and let its verdict decide, not its return."""
    judge = pyfuncitem.funcargs.get("judge")
    strange = guard.replaced(pyfuncitem)
    if not isinstance(judge, Judge) and not strange:  # none, or a fixture of somebody else's
        return (yield)
    from pytest_k8ssec import judging

    phase = _phase(pyfuncitem)
    _prepare(pyfuncitem, phase, strange)
    assert isinstance(judge, Judge)
    started = time.monotonic()
    ended_by: BaseException | None = None
    try:
        yield
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except BaseException as error:  # noqa: BLE001 - judged below, and raised again if it is no error of ours
        ended_by = _in_our_words(error, pyfuncitem)
    _conclude(pyfuncitem, judging.judged(pyfuncitem, judge, phase, ended_by, time.monotonic() - started), ended_by)
    return True


def _in_our_words(error: BaseException, item: pytest.Function) -> BaseException:
    """The error; where a disk of ours filled up under a control, that, as the control's traceback tells a user nothing."""
    if control_of(item.function) is None:
        return error
    from pytest_k8ssec.disks import of_disk

    return of_disk(error) or error


def _phase(item: pytest.Item) -> Phase:
    from pytest_k8ssec.ordering import phase_of

    return phase_of(item) or Phase()


def _prepare(item: pytest.Function, phase: Phase, strange: Sequence[str]) -> None:
    """What comes before a phase; where that fails the report says so, as it does of a set-up that failed.

    Args:
        strange: what a packaged control was given that is not ours.
    """
    from pytest_k8ssec import judging

    try:
        if strange:
            pytest.fail(f"{', '.join(strange)}: not what our fixtures gave, so nothing is judged on it", pytrace=False)
        _check_baseline(item, phase)
        _put_in_force(item, phase)
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except BaseException as error:
        _note(item, judging.not_run(item, phase, str(error), skipped=isinstance(error, pytest.skip.Exception)))
        raise


def _check_baseline(item: pytest.Function, phase: Phase) -> None:
    """A control that does not hold on the intact cluster can't be shown to notice anything."""
    control = control_of(item.function)
    if control is None or phase.name in (None, "intact"):
        return
    intact = item.config.stash[_BASELINE].get(control.id)
    if intact is not None and intact is not Verdict.HELD:
        message = f"not run: {control.id} was {intact} on the intact cluster, so it can't be shown to notice anything"
        if intact is Verdict.NOT_APPLICABLE:
            pytest.skip(message)
        pytest.fail(message, pytrace=False)


def _put_in_force(item: pytest.Function, phase: Phase) -> None:
    """Apply the phase's live sabotage; one with a cluster of its own came with the cluster."""
    if phase.active is None or phase.active.needs_cluster:
        return
    resolve = guard.resolver(item, phase.active)
    try:
        refresh = resolve("k8ssec_site").refresh_pool
        saboteur = session.saboteur(item.config, refresh)
        if saboteur.in_force != phase.active:
            refresh()  # what a sabotage rolls out needs the room that our own pods have taken of a quota
        saboteur.enter(phase.active, resolve("cluster"), resolve)
    except K8ssecError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def _conclude(item: pytest.Function, result: Result, ended_by: BaseException | None) -> None:
    """Pass, fail or skip the test by its verdict."""
    from pytest_k8ssec.reports.terminal import explain

    _note(item, result)
    expected = _expected(item.config, result)
    if expected.outcome is Outcome.SKIPPED:
        pytest.skip(f"{expected.headline}: {shown(result.reason)}")
    if expected.outcome is Outcome.FAILED:
        if ended_by is not None and not isinstance(ended_by, (K8ssecError, pytest.skip.Exception)):
            if result.verdict is Verdict.BREACHED:
                item.add_report_section("call", "k8ssec", explain(result.to_json(), expected.headline))
            raise ended_by  # its traceback shows where in the test
        pytest.fail(explain(result.to_json(), expected.headline), pytrace=False)


def _note(item: pytest.Item, result: Result) -> None:
    """Keep a result for the test's report, and what the intact cluster was like for the phases that follow."""
    item.stash[_RESULT] = result
    if result.verdict is Verdict.INCONCLUSIVE and _stands_on_docker(item):
        from pytest_k8ssec import docker

        docker.look()
    if result.phase.name == "intact":
        item.config.stash[_BASELINE][result.control] = result.verdict


def _expected(config: pytest.Config, result: Result) -> Expectation:
    """What the result means for pytest, under this run's settings."""
    settings = config.stash[session.SETTINGS]
    return expect(
        result.control,
        result.phase,
        result.verdict,
        strict=settings.strict == "on" or (settings.strict == "auto" and settings.cluster is None),
        declared=settings.not_applicable.get(result.control),
        missing=result.missing,
    )


# -- reporting --------------------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the result to the report, for this process's summary and across xdist; no secret leaves in a traceback."""
    report = yield
    result = item.stash.get(_RESULT, None)
    tried = report.when == "call"
    if report.when == "setup" and not report.passed and _judges(item):
        from pytest_k8ssec import judging

        assert call.excinfo is not None
        result = judging.not_run(item, _phase(item), str(call.excinfo.value), skipped=report.skipped)
        _note(item, result)
        _shorten_repeated(item.config, report)
        tried = report.failed or judging.given_up(call.excinfo.value)
        if report.skipped and not _skipped_by_mark(call.excinfo.value):
            _hold_to_strict(item.config, report, result)
    elif report.when != "call":
        result = None
    elif report.passed:
        result = _earned(item, report, result)
    if result is not None:
        from pytest_k8ssec.reports.junit import properties

        entry = redacted(result.to_json())
        report.k8ssec = entry  # type: ignore[attr-defined]
        report.k8ssec_tried = tried  # type: ignore[attr-defined]
        told = properties(entry)
        item.user_properties.extend(told)  # JUnit takes them from the report of the tear-down
        report.user_properties = [*report.user_properties, *told]
    curtain.hide(report)
    if not guard.names().isdisjoint(getattr(item, "fixturenames", ())):
        _make_plain(report)
    return report


def _make_plain(report: pytest.TestReport) -> None:
    """What a test of ours says is safe to show; what a user's own test prints is theirs, and pytest's colours are pytest's."""
    if isinstance(report.longrepr, tuple):
        path, number, reason = report.longrepr
        report.longrepr = (path, number, shown(reason).replace("\n", "\n    "))  # pytest lists it among others
    elif report.longrepr is not None and (safe := shown(report.longreprtext)) != report.longreprtext:
        report.longrepr = safe


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """No secret leaves in the traceback of a module that can't be imported; and no control that was asked for is missed."""
    report = yield
    curtain.hide(report)
    if isinstance(collector, pytest.Session) and report.passed and collector.config.stash[SETTINGS].controls:
        report.result = [*report.result, *_hidden_controls(collector)]
    return report


def _hidden_controls(session: pytest.Session) -> list[pytest.Collector]:
    """The controls' folder, where it lies in one that is searched, and on the way in one that is not, such as ``.venv``.

    pytest 9 drops an argument that lies below another.
    """
    searched = next((path for path in ROOT.parents if session.isinitpath(path)), None)
    if searched is None or session.isinitpath(ROOT):
        return []
    way = [path for path in (ROOT, *ROOT.parents) if path.is_relative_to(searched) and path != searched]
    ask = [session.gethookproxy(path.parent).pytest_ignore_collect for path in way]
    if not any(ignored(collection_path=path, config=session.config) for ignored, path in zip(ask, way, strict=True)):
        return []
    found = session.gethookproxy(ROOT).pytest_collect_directory(path=ROOT, parent=session)
    return [found] if found is not None else []


def _earned(item: pytest.Item, report: pytest.TestReport, result: Result | None) -> Result | None:
    """Only a verdict lets a control pass: whatever answered in our place, or kept quiet about what we said, does not."""
    from pytest_k8ssec import judging
    from pytest_k8ssec.reports.terminal import explain

    if result is None and packaged_control(getattr(item, "function", None)) is None:
        return None
    if result is None:
        result = judging.not_run(item, _phase(item), _HOLLOW, skipped=False)
        _note(item, result)
        failed = "INCONCLUSIVE"
    else:
        expected = _expected(item.config, result)
        failed = expected.headline if expected.outcome is not Outcome.PASSED else ""
    if failed:
        report.outcome = "failed"
        report.longrepr = explain(result.to_json(), failed)
    return result


def _judges(item: pytest.Item) -> bool:
    """Whether the test's ``judge`` is ours, as others may have a fixture of that name; asked before there is one."""
    if packaged_control(getattr(item, "function", None)) is not None:
        return True
    # Which fixture a name stands for at an item can't be asked in a public way.
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    return any(each.func.__module__ == _FIXTURES for each in known.get("judge", ())[-1:])


def _skipped_by_mark(error: BaseException) -> bool:
    """Whether a ``skip`` or ``skipif`` mark did it: its author has said why. A fixture that skips is something else."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and frame.tb_frame.f_globals.get("__name__") == "_pytest.skipping"


def _hold_to_strict(config: pytest.Config, report: pytest.TestReport, result: Result) -> None:
    """A set-up that skips is a test that was not applicable: where that fails, it fails here too."""
    from pytest_k8ssec.reports.terminal import explain

    expected = _expected(config, result)
    if expected.outcome is Outcome.FAILED:
        report.outcome = "failed"
        report.longrepr = explain(result.to_json(), expected.headline)


def _shorten_repeated(config: pytest.Config, report: pytest.TestReport) -> None:
    """A cluster that can't be made fails every test in the same words: say them once."""
    text = report.longreprtext
    if text in config.stash[_TOLD]:
        first = next((line.strip() for line in text.splitlines() if line.strip()), "set-up failed")
        report.longrepr = f"the same set-up error as above: {first}"
    config.stash[_TOLD].add(text)


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Say the verdict where pytest would say passed or failed."""
    entry = getattr(report, "k8ssec", None)
    if entry is None or hasattr(report, "wasxfail"):
        return None
    letter, word = _WORDS[Verdict(entry["verdict"])]
    if report.when == "setup" and report.failed:
        return "error", "E", word
    if entry["phase"] == "sabotaged" and report.passed:
        return "passed", ".", f"{word}, as expected"
    return report.outcome, letter, word
