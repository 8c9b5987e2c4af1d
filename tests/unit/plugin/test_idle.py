"""What a pytest run imports for us: next to nothing where it does not use us, and no client where controls are only listed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_k8ssec.catalogue.packaged import CONTROLS_FOLDER

HEAVY = {
    "cryptography",
    "google",
    "grpc",
    "jinja2",
    "kubernetes",
    "pulumi",
    "pulumi_kubernetes",
    "requests",
    "websocket",
}
NEVER_IDLE = HEAVY | {"asyncio", "filelock", "http", "psutil", "ssl", "tomllib", "urllib3", "yaml"}
FEW = 36
"""Modules of ours that a run without us may import, packages included."""
ASKED = """
import json, sys
import importlib.metadata as metadata
import pytest

looked = []
seen = metadata.distributions
metadata.distributions = lambda **about: (looked.append(about), seen(**about))[1]
code = pytest.main(sys.argv[1:])
print()
print(json.dumps([int(code), len(looked), sorted(sys.modules)]))
"""
"""Runs pytest as a user does, and tells how it ended, how often packages were looked through, and what was imported."""


def asked(folder: Path, *arguments: str) -> tuple[int, set[str]]:
    """How often one run of pytest looked through all installed packages, and the modules that it had imported."""
    command = [sys.executable, "-c", ASKED, "-q", "-p", "no:cacheprovider", *arguments]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=300)
    code, looked, modules = json.loads(said.stdout.splitlines()[-1])
    assert 0 == code, said.stdout
    return looked, set(modules)


@pytest.fixture
def unrelated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that knows nothing of us."""
    for other in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        monkeypatch.delenv(other, raising=False)
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (tmp_path / "test_it.py").write_text("def test_it(tmp_path):\n    print(tmp_path)\n", encoding="utf-8")
    return tmp_path


def test_an_unrelated_run_imports_little_of_ours_and_nothing_heavy(unrelated: Path) -> None:
    """Each run in an environment with the plugin pays for it."""
    _, without = asked(unrelated, "-p", "no:k8ssec")
    _, modules = asked(unrelated)
    brought = modules - without
    ours = sorted(name for name in brought if name.split(".")[0] == "pytest_k8ssec")
    assert "pytest_k8ssec.plugin.curtain" in ours
    assert not sorted(NEVER_IDLE & {name.split(".")[0] for name in brought})
    assert len(ours) <= FEW, ours
    # These define data classes and compile patterns: most of what an import of ours costs.
    late = (
        "catalogue.control",
        "evidence",
        "plugin.result_of_test",
        "reports",
        "sabotages",
        "secrecy.forms",
        "verdict",
    )
    assert not [name for name in ours if name.startswith(tuple(f"pytest_k8ssec.{each}" for each in late))]


def test_an_unrelated_run_looks_through_installed_packages_no_more_often(unrelated: Path) -> None:
    """As it does for each name in ``pytest_plugins`` of an installed plugin."""
    without, _ = asked(unrelated, "-p", "no:k8ssec")
    assert without == asked(unrelated)[0]


def test_controls_are_collected_without_any_client(unrelated: Path) -> None:
    """``--collect-only`` answers at once."""
    _, modules = asked(unrelated, "--collect-only", "--k8ssec-controls", str(CONTROLS_FOLDER))
    assert any(name.startswith("pytest_k8ssec.controls.etcd.") or ".controls.etcd." in name for name in modules)
    assert not sorted(HEAVY & {name.split(".")[0] for name in modules})
