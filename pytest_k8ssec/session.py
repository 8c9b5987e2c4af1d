"""One pytest process's settings, run and sites: found, begun at their first use, and ended."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_k8ssec.settings import Option, Settings, resolve

if TYPE_CHECKING:
    from pytest_k8ssec.runs import Run
    from pytest_k8ssec.saboteur import Saboteur
    from pytest_k8ssec.sites import Sites

SETTINGS = pytest.StashKey[Settings]()
_RUN = pytest.StashKey["Run"]()
_SITES = pytest.StashKey["Sites"]()
_SABOTEUR = pytest.StashKey["Saboteur"]()
_WORKER_KEY = "k8ssec_run"


def configure(config: pytest.Config) -> Settings:
    """Merge all settings once. Raises SettingsError."""
    settings = resolve(
        cli=lambda option: config.getoption(option.ini, None),
        environ=os.environ,
        ini=lambda option: _ini(config, option),
        table=_table(config.rootpath / "pyproject.toml"),
        base=config.inipath.parent if config.inipath else config.rootpath,
    )
    config.stash[SETTINGS] = settings
    return settings


def _ini(config: pytest.Config, option: Option) -> Any:
    return config.getini(option.ini)


def _table(file: Path) -> Mapping[str, Any]:
    """``[tool.k8ssec]``; the file is parsed only if it has such a table."""
    try:
        text = file.read_text()
    except OSError:
        return {}
    if "tool.k8ssec" not in text:
        return {}
    import tomllib

    table = tomllib.loads(text).get("tool", {}).get("k8ssec", {})
    return table if isinstance(table, dict) else {}


def lend_to_worker(config: pytest.Config, workerinput: dict[str, Any]) -> None:
    """Let an xdist worker join the controller's run."""
    workerinput[_WORKER_KEY] = str(_run(config).directory)


def sites(config: pytest.Config) -> Sites:
    """The process's sites; at the first call the run begins, and what dead runs left behind is removed.

    Raises:
        ToolMissing: no docker daemon answers.
    """
    if _SITES not in config.stash:
        from pytest_k8ssec import docker, sweep
        from pytest_k8ssec.interrupts import interrupt
        from pytest_k8ssec.sites import Sites

        docker.check_daemon()
        tell = _teller(config)
        worker = _lent(config)
        if worker is None:
            for entry, names in sweep.sweep():
                tell(f"swept run {entry.run.id}, which had ended without cleaning up: {', '.join(names) or 'nothing left'}")
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, interrupt)
        config.stash[_SITES] = Sites(config.stash[SETTINGS], _run(config), owner=worker is None, progress=tell)
    return config.stash[_SITES]


def begun_sites(config: pytest.Config) -> Sites | None:
    """The process's sites, or None where nothing asked for them."""
    return config.stash.get(_SITES, None)


def saboteur(config: pytest.Config) -> Saboteur:
    """Who holds a live sabotage in force on the base site."""
    if _SABOTEUR not in config.stash:
        from pytest_k8ssec.saboteur import Saboteur

        config.stash[_SABOTEUR] = Saboteur(sites(config).base.refresh_pool)
    return config.stash[_SABOTEUR]


def begun_saboteur(config: pytest.Config) -> Saboteur | None:
    """The saboteur, or None where no sabotage was put in force."""
    return config.stash.get(_SABOTEUR, None)


def run_id(config: pytest.Config) -> str:
    """The run's id, "" where none has begun."""
    return config.stash[_RUN].id if _RUN in config.stash else ""


def close(config: pytest.Config, *, failed: bool) -> list[str]:
    """End what was begun. Returns lines for the user about what was kept."""
    held = config.stash.get(_SITES, None)
    if held is not None:
        del config.stash[_SITES]
        return held.close(failed=failed)
    if _RUN in config.stash and _lent(config) is None:
        return _close_for_workers(config, failed=failed)
    return []


def _close_for_workers(config: pytest.Config, *, failed: bool) -> list[str]:
    """The controller's part under xdist: its workers created what its run recorded."""
    from pytest_k8ssec.sites import Sites

    run = config.stash[_RUN]
    if not run.directory.exists():
        return []
    shared = Sites(config.stash[SETTINGS], run, owner=True, progress=_teller(config))
    shared.adopt()
    return shared.close(failed=failed)


def _run(config: pytest.Config) -> Run:
    if _RUN not in config.stash:
        from pytest_k8ssec.runs import Run

        lent = _lent(config)
        config.stash[_RUN] = Run.join(Path(lent)) if lent else Run.begin()
    return config.stash[_RUN]


def _lent(config: pytest.Config) -> str | None:
    workerinput = getattr(config, "workerinput", None)
    return None if workerinput is None else str(workerinput[_WORKER_KEY])


def _teller(config: pytest.Config) -> Any:
    """Prints a line of progress at once, past pytest's capture; an xdist worker has no terminal and stays silent."""
    started = time.monotonic()
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")

    def tell(line: str) -> None:
        if terminal is None or terminal.no_summary:
            return
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            terminal.ensure_newline()
            terminal.write_line(f"k8ssec {time.monotonic() - started:5.0f}s  {line}", cyan=True)

    return tell
