"""One pytest process's settings, run and testbeds: found, begun at their first use, and ended."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_k8ssec.plain import progress_line
from pytest_k8ssec.secrecy import given
from pytest_k8ssec.settings import Lookup, Option, Settings, check_places, pyproject_table, resolve_settings
from pytest_k8ssec.settings.waivers import Waiver, read_waivers, today

if TYPE_CHECKING:
    from pytest_k8ssec.machine.ledger import Run
    from pytest_k8ssec.plugin.journal import Journal
    from pytest_k8ssec.sabotages.saboteur import Saboteur
    from pytest_k8ssec.stack import EarlyChild
    from pytest_k8ssec.testbed.testbeds import Testbeds

SETTINGS = pytest.StashKey[Settings]()
WAIVERS = pytest.StashKey[tuple[Waiver, ...]]()
_JOURNAL = pytest.StashKey["Journal"]()
_RUN = pytest.StashKey["Run"]()
_TESTBEDS = pytest.StashKey["Testbeds"]()
_EARLY = pytest.StashKey["EarlyChild"]()
_SABOTEUR = pytest.StashKey["Saboteur"]()
_LOOKS_AROUND = (
    "collectonly", "setupplan", "help", "version", "markers", "showfixtures", "show_fixtures_per_test", "cacheshow",
)  # fmt: skip
"""Options of pytest with which it runs nothing."""
_SIGTERM = pytest.StashKey[Callable[[], None]]()
_PROCESS = pytest.StashKey[int]()
_CLOSED = pytest.StashKey[bool]()
_WORKER_KEY = "k8ssec_run"
_LOG_COLUMNS = 120
_SEED_KEY = "k8ssec_reach_seed"
_SEED = pytest.StashKey[int]()


def configure(config: pytest.Config) -> Settings:
    """Merge all settings once. Raises SettingsError."""
    settings = _settings(config, lambda option: config.getoption(option.ini, None))
    if settings.reach_seed is None:  # a worker measures the same pods as the others, by the controller's choice
        settings = settings._replace(reach_seed=getattr(config, "workerinput", {}).get(_SEED_KEY))
    config.stash[SETTINGS] = settings
    config.stash[_PROCESS] = os.getpid()
    if settings.resume and settings.report and _lent(config) is None:
        from pytest_k8ssec.plugin.journal import Journal, fingerprint

        valid = [each for each in waivers(config) if each.days_left(today()) >= 0]
        before = settings.baseline.read_bytes() if settings.baseline and settings.baseline.is_file() else b""
        config.stash[_JOURNAL] = Journal(settings.report / "journal.jsonl", fingerprint(settings, [*valid, before]))
    return settings


def waivers(config: pytest.Config) -> tuple[Waiver, ...]:
    """The waivers of the project, read once. Raises SettingsError."""
    if WAIVERS not in config.stash:
        pyproject = config.rootpath / "pyproject.toml"
        config.stash[WAIVERS] = read_waivers(pyproject_table(pyproject), pyproject)
    return config.stash[WAIVERS]


def foresee(config: pytest.Config) -> None:
    """Register the secrets that the settings give, before the first conftest is imported. Raises SettingsError."""
    _settings(config, lambda option: getattr(config.known_args_namespace, option.ini, None))


def _settings(config: pytest.Config, cli: Lookup) -> Settings:
    """All settings, once the secrets among them are registered."""
    given.environment(os.environ)
    settings = resolve_settings(
        cli=cli,
        environ=os.environ,
        ini=lambda option: _ini(config, option),
        table=pyproject_table(config.rootpath / "pyproject.toml"),
        base=config.inipath.parent if config.inipath else config.rootpath,
    )
    check_places(settings)
    given.project(settings.stack, settings.stack_name, settings.config_file, settings.config)
    return settings


def _ini(config: pytest.Config, option: Option) -> Any:
    return config.getini(option.ini)


def lend_to_worker(config: pytest.Config, workerinput: dict[str, Any]) -> None:
    """Let an xdist worker join the controller's run, and choose the same pods to measure by."""
    from pytest_k8ssec.errors import SettingsError
    from pytest_k8ssec.reach.sampling import Sampling

    workerinput[_SEED_KEY] = config.stash.setdefault(_SEED, Sampling().seed)
    _obey_sigterm(config)
    with suppress(SettingsError):  # the worker will meet the same error, if it needs a run at all
        run = _run(config)
        workerinput[_WORKER_KEY] = {"directory": str(run.directory), "passphrase": run.passphrase}


def hasten(config: pytest.Config) -> None:
    """Start Pulumi's process while tests are collected: it imports as long as that takes.

    Only where the command asks for packaged controls, and the settings name a stack: then nearly each run needs it, and what
    goes without it ends it unused.
    """
    settings, options = config.stash[SETTINGS], config.option
    looks_around = any(getattr(options, name, False) for name in _LOOKS_AROUND)
    if settings.stack and not settings.serial and options.k8ssec_controls and not looks_around:
        from pytest_k8ssec import stack

        with suppress(OSError):  # what is only sooner may be left to its turn
            config.stash[_EARLY] = stack.EarlyChild()


def _early(config: pytest.Config) -> EarlyChild | None:
    return config.stash.get(_EARLY, None)


def testbeds(config: pytest.Config) -> Testbeds:
    """The process's testbeds; at the first call the run begins, and what dead runs left behind is removed.

    Raises:
        ToolMissing: no docker daemon answers.
    """
    if _TESTBEDS not in config.stash:
        from pytest_k8ssec.testbed import testbeds as module

        _obey_sigterm(config)
        lent = _lent(config)
        config.stash[_TESTBEDS] = module.begin(
            config.stash[SETTINGS],
            progress=terminal_teller(config),
            joined=_run(config) if lent else None,
            early=_early(config),
        )
        config.stash[_RUN] = config.stash[_TESTBEDS].run
    return config.stash[_TESTBEDS]


def journal(config: pytest.Config) -> Journal | None:
    """Where results are written down as they come, or None where no run is to be resumed."""
    return config.stash.get(_JOURNAL, None)


def begun_testbeds(config: pytest.Config) -> Testbeds | None:
    """The process's testbeds, or None where nothing asked for them."""
    return config.stash.get(_TESTBEDS, None)


def saboteur(config: pytest.Config, changed: Callable[[], None]) -> Saboteur:
    """The saboteur of the base testbed; ``changed`` is called when the testbed is no longer what it was."""
    if _SABOTEUR not in config.stash:
        from pytest_k8ssec.sabotages.saboteur import Saboteur

        config.stash[_SABOTEUR] = Saboteur(changed)
    return config.stash[_SABOTEUR]


def begun_saboteur(config: pytest.Config) -> Saboteur | None:
    """The saboteur, or None where no sabotage was put in force."""
    return config.stash.get(_SABOTEUR, None)


def has_begun(config: pytest.Config) -> bool:
    """Whether this process holds anything that has to be ended: a run, testbeds, a sabotage."""
    return _RUN in config.stash or _TESTBEDS in config.stash or _SABOTEUR in config.stash


def run_id(config: pytest.Config) -> str:
    """The run's id, "" where none has begun."""
    return config.stash[_RUN].id if _RUN in config.stash else ""


def close(config: pytest.Config, *, failed: bool) -> list[str]:
    """End what was begun. Returns lines for the user about what was kept."""
    try:
        lines = _close(config, failed=failed)
    except KeyboardInterrupt:
        raise  # what was interrupted is tried again
    except BaseException:
        _forget(config)  # what resists now will again: it is left to the next sweep
        raise
    _forget(config)
    return lines


def _close(config: pytest.Config, *, failed: bool) -> list[str]:
    if _CLOSED in config.stash or os.getpid() != config.stash.get(_PROCESS, os.getpid()):
        return []  # a test's own child that went on through pytest has nothing to end
    held = config.stash.get(_TESTBEDS, None)
    if held is not None:
        return held.close(failed=failed)
    if _RUN in config.stash and _lent(config) is None:
        return _close_for_workers(config, failed=failed)
    return []


def _forget(config: pytest.Config) -> None:
    """There is nothing left to close, and SIGTERM is what it was."""
    config.stash.get(_SIGTERM, lambda: None)()
    if (early := _early(config)) is not None and os.getpid() == config.stash[_PROCESS]:
        early.end()
    if _TESTBEDS in config.stash:
        del config.stash[_TESTBEDS]
    config.stash[_CLOSED] = True


def _close_for_workers(config: pytest.Config, *, failed: bool) -> list[str]:
    """The controller's part under xdist: its workers created what its run recorded."""
    from pytest_k8ssec.testbed.testbeds import Testbeds

    run = config.stash[_RUN]
    if not run.directory.exists():
        return []
    shared = Testbeds(config.stash[SETTINGS], run, owner=True, progress=terminal_teller(config))
    shared.adopt()
    return shared.close(failed=failed)


def _run(config: pytest.Config) -> Run:
    if _RUN not in config.stash:
        from pytest_k8ssec.machine.ledger import Run

        lent = _lent(config)
        config.stash[_RUN] = Run.join(**lent) if lent else Run.begin()
    return config.stash[_RUN]


def _lent(config: pytest.Config) -> dict[str, Any] | None:
    """What the controller lends a worker of xdist: all that makes it join its run."""
    given = getattr(config, "workerinput", {})
    if (lent := given.get(_WORKER_KEY)) is None:
        return None
    return {**lent, "directory": Path(lent["directory"]), "worker": str(given["workerid"])}


def _obey_sigterm(config: pytest.Config) -> None:
    """From here on SIGTERM cleans up, until all is closed."""
    if _SIGTERM not in config.stash:
        from pytest_k8ssec.machine.signals import obey_sigterm

        config.stash[_SIGTERM] = obey_sigterm()


def terminal_teller(config: pytest.Config) -> Callable[[str], None]:
    """Prints a line of progress at once, past pytest's capture; an xdist worker has no terminal and stays silent."""
    started = time.monotonic()
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")

    def tell(line: str) -> None:
        if terminal is None or terminal.no_summary:
            return
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            terminal.ensure_newline()
            # Where nobody looks at a terminal, a line of a log stays one line.
            width = columns_of(config) if terminal.isatty else 0
            terminal.write_line(progress_line(time.monotonic() - started, line, width), cyan=True)

    return tell


def columns_of(config: pytest.Config) -> int:
    """How wide the terminal is. In a log nobody knows: pytest takes 80 there, and a sentence would be cut for nothing."""
    width = int(config.get_terminal_writer().fullwidth)
    terminal = getattr(config.pluginmanager.get_plugin("terminalreporter"), "isatty", False)
    return width if terminal or "COLUMNS" in os.environ else max(width, _LOG_COLUMNS)
