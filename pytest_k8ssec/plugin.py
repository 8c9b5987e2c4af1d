"""The pytest hooks, thin: whatever is not about pytest lives elsewhere and is imported once a test needs it."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_k8ssec import session
from pytest_k8ssec.catalogue import ROOT, is_control_file
from pytest_k8ssec.control import Severity, control_of
from pytest_k8ssec.errors import K8ssecError, SettingsError
from pytest_k8ssec.families import FAMILIES
from pytest_k8ssec.frameworks import FRAMEWORKS
from pytest_k8ssec.results import Outcome, Phase, expect
from pytest_k8ssec.settings import OPTIONS
from pytest_k8ssec.summary import Summary
from pytest_k8ssec.verdict import Judge, Verdict

if TYPE_CHECKING:
    from pytest_k8ssec.results import Result

pytest_plugins = ("pytest_k8ssec.fixtures", "pytest_k8ssec.ordering")

_RESULT = pytest.StashKey["Result"]()
_BASELINE = pytest.StashKey[dict[str, Verdict]]()
_TOLD = pytest.StashKey[set[str]]()

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
        parser.addini(
            option.ini,
            f"{option.help} (also {option.flag}, {option.env})",
            "linelist" if option.repeatable else "string",
            default=None,
        )


def pytest_configure(config: pytest.Config) -> None:
    """Merge the settings, register the markers, add the packaged controls to what is collected."""
    try:
        settings = session.configure(config)
    except SettingsError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[_BASELINE] = {}
    config.stash[_TOLD] = set()
    for family in FAMILIES.values():
        config.addinivalue_line("markers", f"{family.id}: controls of the family {family.title}")
    for framework in FRAMEWORKS.values():
        config.addinivalue_line("markers", f"{framework.key}: controls with a reference to {framework.name}")
    for severity in Severity:
        config.addinivalue_line("markers", f"severity_{severity}: controls of severity {severity}")
    config.addinivalue_line("markers", "slow: takes more than ten seconds")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Summary(config), "k8ssec-summary")
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(_Xdist(), "k8ssec-xdist")
    if settings.controls and str(ROOT) not in config.args:
        config.args.append(str(ROOT))


class _Xdist:
    """Hooks that exist only where xdist is installed."""

    def pytest_configure_node(self, node: Any) -> None:
        """All workers share the controller's run."""
        session.lend_to_worker(node.config, node.workerinput)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Whatever is still there goes, also where the session broke off; after its regular end there is nothing left."""
    session.close(config, failed=True)


# -- collection -------------------------------------------------------------------------------------------------------


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """The packaged controls, whatever ``python_files`` says."""
    return pytest.Module.from_parent(parent, path=file_path) if is_control_file(file_path) else None


def pytest_itemcollected(item: pytest.Item) -> None:
    """Make a control findable by its id (-k) and by family, framework and severity (-m)."""
    control = control_of(getattr(item, "function", None))
    if control is None:
        return
    item.extra_keyword_matches.add(control.id)
    marks = [control.family.id, f"severity_{control.severity}", *(name for name, ids in control.mappings.items() if ids)]
    for mark in [*marks, *(["slow"] if control.slow else [])]:
        item.add_marker(mark)


# -- running ----------------------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Undo a sabotage that the coming test does not run under, before any of its fixtures is made."""
    saboteur = session.begun_saboteur(item.config)
    if saboteur is None:
        return
    try:
        if saboteur.in_force is not _phase(item).active:
            saboteur.leave()
        saboteur.check()
    except K8ssecError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run a test that uses ``judge`` and let its verdict decide, not its return."""
    if "judge" not in pyfuncitem.fixturenames:
        return (yield)
    from pytest_k8ssec import judging

    judge = pyfuncitem.funcargs["judge"]
    assert isinstance(judge, Judge)
    phase = _phase(pyfuncitem)
    _check_baseline(pyfuncitem, phase)
    _put_in_force(pyfuncitem, phase)
    started = time.monotonic()
    ended_by: BaseException | None = None
    try:
        yield
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except BaseException as error:  # noqa: BLE001 - judged below, and raised again if it is no error of ours
        ended_by = error
    _conclude(pyfuncitem, judging.judged(pyfuncitem, judge, phase, ended_by, time.monotonic() - started), ended_by)
    return True


def _phase(item: pytest.Item) -> Phase:
    from pytest_k8ssec.ordering import phase_of

    return phase_of(item) or Phase()


def _check_baseline(item: pytest.Function, phase: Phase) -> None:
    """A control that does not hold on the intact cluster can't be shown to notice anything."""
    control = control_of(item.function)
    if control is None or phase.name in (None, "intact"):
        return
    intact = item.config.stash[_BASELINE].get(control.id)
    if intact is not None and intact is not Verdict.HELD:
        message = f"not run: {control.id} was {intact} on the intact cluster, so it can't be shown to notice anything"
        (pytest.skip if intact is Verdict.NOT_APPLICABLE else pytest.fail)(message)


def _put_in_force(item: pytest.Function, phase: Phase) -> None:
    """Apply the phase's live sabotage; one with a cluster of its own came with the cluster."""
    if phase.active is None or phase.active.needs_cluster:
        return
    # A sabotage names fixtures as a test does; there is no public way to ask an item for one.
    resolve = item._request.getfixturevalue  # noqa: SLF001
    try:
        session.saboteur(item.config).enter(phase.active, resolve("cluster"), resolve)
    except K8ssecError as error:
        pytest.fail(str(error), pytrace=False)


def _conclude(item: pytest.Function, result: Result, ended_by: BaseException | None) -> None:
    """Pass, fail or skip the test by its verdict."""
    from pytest_k8ssec.reports.terminal import explain

    item.stash[_RESULT] = result
    if result.phase.name == "intact":
        item.config.stash[_BASELINE][result.control] = result.verdict
    settings = item.config.stash[session.SETTINGS]
    expected = expect(
        result.control,
        result.phase,
        result.verdict,
        strict=settings.strict == "on" or (settings.strict == "auto" and settings.cluster is None),
        declared=settings.not_applicable.get(result.control),
    )
    if expected.outcome is Outcome.SKIPPED:
        pytest.skip(f"{expected.headline}: {result.reason}")
    if expected.outcome is Outcome.FAILED:
        if ended_by is not None and not isinstance(ended_by, (K8ssecError, pytest.skip.Exception)):
            raise ended_by  # its traceback shows where in the test
        pytest.fail(explain(result.to_json(), expected.headline), pytrace=False)


# -- reporting --------------------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the result to the report, for this process's summary and across xdist; no secret leaves in a traceback."""
    report = yield
    result = item.stash.get(_RESULT, None)
    if report.when == "setup" and not report.passed and _judges(item):
        from pytest_k8ssec import judging

        assert call.excinfo is not None
        result = judging.not_run(item, _phase(item), call.excinfo.exconly(), skipped=report.skipped)
        _shorten_repeated(item.config, report)
    elif report.when != "call":
        result = None
    if result is not None:
        from pytest_k8ssec.redaction import redacted
        from pytest_k8ssec.reports.junit import properties

        entry = redacted(result.to_json())
        report.k8ssec = entry  # type: ignore[attr-defined]
        report.user_properties = [*report.user_properties, *properties(entry)]
    _hide_secrets(report)
    return report


def _judges(item: pytest.Item) -> bool:
    return "judge" in getattr(item, "fixturenames", ())


def _shorten_repeated(config: pytest.Config, report: pytest.TestReport) -> None:
    """A cluster that can't be made fails every test in the same words: say them once."""
    text = report.longreprtext
    if text in config.stash[_TOLD]:
        first = next((line.strip() for line in text.splitlines() if line.strip()), "set-up failed")
        report.longrepr = f"the same set-up error as above: {first}"
    config.stash[_TOLD].add(text)


def _hide_secrets(report: pytest.TestReport) -> None:
    if report.passed and not report.sections:
        return
    from pytest_k8ssec.redaction import redact

    if isinstance(report.longrepr, tuple):
        path, line, reason = report.longrepr
        report.longrepr = (path, line, redact(reason))
    elif report.longrepr is not None:
        text = report.longreprtext
        hidden = redact(text)
        if hidden != text:
            report.longrepr = hidden
    report.sections = [(title, redact(text)) for title, text in report.sections]


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Say the verdict where pytest would say passed or failed."""
    entry = getattr(report, "k8ssec", None)
    if entry is None:
        return None
    letter, word = _WORDS[Verdict(entry["verdict"])]
    if report.when == "setup" and report.failed:
        return "error", "E", word
    if entry["phase"] == "sabotaged" and report.passed:
        return "passed", ".", f"{word}, as expected"
    return report.outcome, letter, word
