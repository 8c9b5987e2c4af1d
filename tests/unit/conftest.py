"""What all unit tests share: no settings, tools or runs of this machine, and nothing left in process-wide state."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from pytest_k8ssec.machine import docker, tools
from pytest_k8ssec.secrecy import redact
from tests.unit.machine.dockers import FakeDocker

settings.register_profile("k8ssec", deadline=None)  # a busy machine is no failure
settings.load_profile("k8ssec")


@pytest.fixture(autouse=True)
def own_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Point cache and state at folders of the test's own, forget K8SSEC_* settings, and hide the docker daemon."""
    for name in list(os.environ):
        if name.startswith("K8SSEC_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("K8SSEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("K8SSEC_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "80")  # what a help text is wrapped at
    # A test that asks the machine's docker daemon fails everywhere, not only where there is none.
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-daemon.sock")
    tools._manifest.cache_clear()


@pytest.fixture(autouse=True)
def no_secrets_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start each test without any registered secret."""
    monkeypatch.setattr(redact, "_known", redact.Redactor())


@pytest.fixture
def fake_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    """A docker of the test's own, first on PATH."""
    made = FakeDocker(tmp_path / "docker")
    monkeypatch.setenv("PATH", f"{made.folder}:{os.environ['PATH']}")
    return made


@pytest.fixture
def closed() -> Iterator[int]:
    """A TCP port of loopback that refuses. It is held, so that nobody else's listener can get it meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture(autouse=True)
def docker_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start each test without a daemon that went away."""
    monkeypatch.setattr(docker, "_gone", [])
