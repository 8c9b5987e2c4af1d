"""What the plugin costs a pytest run that does not use it, and how long it takes to collect all controls.

Each figure is of whole processes, and paired: a run with the plugin, then one without, so that both meet the same machine.
Byte code is kept beside, in a folder of the measurement's own, and is there before anything counts.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from pytest_k8ssec.catalogue.packaged import CONTROLS_FOLDER

PAIRS = 5
_LEFT_OUT = ("-p", "no:hypothesispytest")
"""Of what is installed for our own tests: at each run's end its plugin imports all of hypothesis, which takes half a second."""
_WITHOUT = ("-p", "no:k8ssec")
_TEST = "def test_nothing():\n    pass\n"


@dataclass(frozen=True, slots=True)
class Idle:
    """Medians."""

    idle_ms: float
    """Milliseconds of processor time that a run of one unrelated test takes more than with ``-p no:k8ssec``."""
    collect_s: float
    """Seconds until ``--k8ssec-controls --collect-only`` has ended."""
    collect_more_s: float
    """How many of these are more than such a run without the plugin, which collects nothing, takes."""


def measure(pairs: int = PAIRS) -> Idle:
    """Run pytest on a folder with one test, with and without the plugin, and with all controls.

    Args:
        pairs: how many runs of each kind count; one of each goes before.

    Raises:
        subprocess.CalledProcessError: pytest did not end well.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        (folder / "test_nothing.py").write_text(_TEST, encoding="utf-8")
        environ = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        collect = ("--collect-only", "--k8ssec-controls", str(CONTROLS_FOLDER))
        for arguments in ((), _WITHOUT, collect):
            _run(arguments, folder, environ)
        idle, whole, more = [], [], []
        for _ in range(pairs):
            used, _seconds = _run((), folder, environ)
            without, bare = _run(_WITHOUT, folder, environ)
            _used, seconds = _run(collect, folder, environ)
            idle.append((used - without) * 1000)
            whole.append(seconds)
            more.append(seconds - bare)
    return Idle(median(idle), median(whole), median(more))


def _run(arguments: Sequence[str], folder: Path, environ: Mapping[str, str]) -> tuple[float, float]:
    """One run of pytest. Returns the seconds that processors worked for it, and those that passed."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *_LEFT_OUT, *arguments]
    subprocess.run(command, cwd=folder, env=dict(environ), stdout=subprocess.DEVNULL, check=True, timeout=600)
    passed, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, passed
