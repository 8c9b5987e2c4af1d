"""What all plugin tests share: no docker, no settings or runs of this machine, and a module that makes evidence."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import pytest

from pytest_k8ssec import plugin
from pytest_k8ssec.catalogue.packaged import packaged_controls
from pytest_k8ssec.plugin import ordering
from pytest_k8ssec.secrecy import redact

for each in walk_packages(plugin.__path__, "pytest_k8ssec.plugin."):
    # A run within this process forgets what it was the first to import, and what is imported anew has other classes.
    import_module(each.name)

LAB = '''
"""Records what a probe would have seen."""

from pytest_k8ssec.evidence import Evidence, Outcome, Source

HERE = Source("client", "this test")


def saw(outcome, request="TCP 10.0.0.9:80", **more):
    return Evidence(HERE, request, Outcome(outcome), **more)


def held(judge, name="door"):
    case = judge.case(name)
    case.attack("knock", saw("refused"), through=False)
    case.positive("it is there", saw("open"), succeeded=True)


def breached(judge, name="door"):
    case = judge.case(name)
    case.attack("knock", saw("open"), through=True)
    case.positive("it is there", saw("open"), succeeded=True)
'''

Run = Callable[..., pytest.RunResult]


@pytest.fixture(autouse=True)
def own_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide docker and all tools, point cache and state at folders of the test's own, forget K8SSEC_* settings; a wide terminal."""
    for name in list(os.environ):
        if name.startswith(("K8SSEC_", "PYTEST_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("PATH", str(tmp_path / "no-tools"))
    monkeypatch.setenv("K8SSEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("K8SSEC_STATE", str(tmp_path / "state"))


@pytest.fixture(autouse=True)
def nothing_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what an inner run registers for the whole process."""
    monkeypatch.setattr(redact, "_known", redact.Redactor())
    monkeypatch.setattr(ordering, "packaged_controls", packaged_controls)


@pytest.fixture
def lab(pytester: pytest.Pytester) -> pytest.Pytester:
    """A directory of tests that can ``import lab``."""
    pytester.makepyfile(lab=LAB)
    pytester.syspathinsert()
    return pytester


@pytest.fixture
def run(lab: pytest.Pytester) -> Run:
    """``run(test_module_text, *options)``: what pytest says of it, with a report in ``report/``."""

    def do(module: str, *options: Any) -> pytest.RunResult:
        lab.makepyfile(test_it=module)
        return lab.runpytest("-p", "no:cacheprovider", "--k8ssec-report=report", *options)

    return do
