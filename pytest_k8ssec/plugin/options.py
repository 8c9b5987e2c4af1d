"""Declares the options, which ``session`` reads by ``settings``, and what the plugin does as pytest begins and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_k8ssec.catalogue.families import FAMILIES
from pytest_k8ssec.catalogue.frameworks import FRAMEWORKS
from pytest_k8ssec.catalogue.packaged import CONTROLS_FOLDER, control_argument
from pytest_k8ssec.catalogue.severity import Severity
from pytest_k8ssec.errors import DiskError, SettingsError
from pytest_k8ssec.plugin import session
from pytest_k8ssec.plugin.chosen import CHOSEN, Chosen
from pytest_k8ssec.plugin.judged import INTACT, judges
from pytest_k8ssec.plugin.reporting import TOLD
from pytest_k8ssec.plugin.session import SETTINGS, terminal_teller
from pytest_k8ssec.plugin.summary import LEFT_OUT, SUMMARY, Summary
from pytest_k8ssec.plugin.terminal.row import ControlsInARow
from pytest_k8ssec.plugin.waiving import since, told
from pytest_k8ssec.settings import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_k8ssec.plugin.journal import Journal
    from pytest_k8ssec.verdict import Verdict

_WITHOUT = "run no packaged controls, whatever other places say"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Each setting as an option and as an ini value."""
    group = parser.getgroup("k8ssec", "Kubernetes security (pytest-k8ssec)")
    for option in OPTIONS:
        common: dict[str, Any] = {"dest": option.ini, "default": None, "help": option.help}
        if option.kind == "flag":
            group.addoption(option.flag, action="store_true", **common)
            if option.name == "controls":
                group.addoption(f"--no-{option.flag[2:]}", action="store_false", **{**common, "help": _WITHOUT})
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
        session.waivers(config)  # what is malformed stops the run here
        since.read_baseline_report(config)
        if settings.sabotage and _is_distributed(config):
            raise SettingsError("--k8ssec-sabotage with -n: a sabotage changes the cluster that all workers share")
    except (SettingsError, DiskError) as error:
        from pytest_k8ssec.secrecy.redact import redact

        raise pytest.UsageError(redact(str(error))) from None
    config.stash[INTACT] = _baseline(session.journal(config))
    told.note_waived(config, _intact(session.journal(config)))
    config.stash[TOLD] = set()
    for name, text in markers().items():
        config.addinivalue_line("markers", f"{name}: {text}")
    chosen = Chosen(judges)
    config.pluginmanager.register(chosen, CHOSEN)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Summary(config, chosen), SUMMARY)
        config.pluginmanager.register(ControlsInARow(config), "k8ssec-row")
    if config.pluginmanager.hasplugin("xdist"):
        from pytest_k8ssec.plugin.xdist import Xdist

        config.pluginmanager.register(Xdist(), "k8ssec-xdist")
    given = [*config.args]
    config.args[:] = map(control_argument, given)
    if settings.controls and str(CONTROLS_FOLDER) not in config.args and given == config.args:
        config.stash[LEFT_OUT] = _names_others(config)
        if not config.stash[LEFT_OUT]:
            config.args.append(str(CONTROLS_FOLDER))
    if not _is_distributed(config):  # a worker has its own
        session.hasten(config)


def _names_others(config: pytest.Config) -> bool:
    """Whether the command line names what to run, and the packaged controls are not among it: a setting alone adds none."""
    return config.args_source is pytest.Config.ArgsSource.ARGS and not config.getoption("k8ssec_controls")


def markers() -> Mapping[str, str]:
    """Marker to what it says of itself in ``pytest --markers``."""
    return {
        **{family.id: f"controls of the family {family.title}" for family in FAMILIES.values()},
        **{key: f"controls with a reference to {framework.name}" for key, framework in FRAMEWORKS.items()},
        **{f"severity_{severity}": f"controls of severity {severity}" for severity in Severity},
        "slow": "takes more than ten seconds",
        "live_sabotage": "phases of sabotages of the running cluster",
        "own_cluster_sabotage": "phases of sabotages that need a cluster of their own",
    }


def _baseline(journal: Journal | None) -> dict[str, Verdict]:
    """What each control said of the intact cluster in a run that is resumed."""
    if journal is None:
        return {}
    from pytest_k8ssec.verdict import Verdict

    return {entry["control"]: Verdict(entry["verdict"]) for entry in _intact(journal)}


def _intact(journal: Journal | None) -> list[Mapping[str, Any]]:
    """The results of the intact cluster of a run that is resumed."""
    return [entry for entry in journal.earlier.values() if entry["phase"] == "intact"] if journal else []


def pytest_sessionstart(session: pytest.Session) -> None:
    """Progress of a sabotage run, once there is a terminal to tell it to."""
    config = session.config
    if config.stash[SETTINGS].sabotage:
        from pytest_k8ssec.plugin.progress import Progress

        config.pluginmanager.register(Progress(terminal_teller(config)), "k8ssec-progress")


def _is_distributed(config: pytest.Config) -> bool:
    """Whether xdist runs the tests in several processes."""
    return bool(getattr(config.option, "numprocesses", None)) or getattr(config.option, "dist", "no") != "no"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what is still there, also if the session broke off; after its regular end nothing is left."""
    if session.begun_testbeds(config) is not None:
        from pytest_k8ssec.plugin import background

        background.stop_apart(config)
    session.close(config, failed=True)
