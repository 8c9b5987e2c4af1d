"""Saved logs: nothing secret is in them, nobody else reads them, they never lie half-done, and they don't pile up."""

from __future__ import annotations

import base64
import gzip
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_k8ssec.clusters import diagnostics, kind
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.machine import belongings, docker
from pytest_k8ssec.machine.ledger import Run
from pytest_k8ssec.machine.tools import Image, Tool
from pytest_k8ssec.secrecy.redact import register
from pytest_k8ssec.settings import Settings
from pytest_k8ssec.testbed.testbeds import Testbeds

KIND = Tool(Path("kind"), "v0", "PATH")
IMAGE = Image("image", "v1", "release")


@pytest.fixture
def run() -> Iterator[Run]:
    """A run of the test's own."""
    begun = Run.begin()
    yield begun
    begun.end()


class Api:
    """A cluster with some Secrets, or one that does not answer."""

    def __init__(self, *found: dict[str, Any]) -> None:
        self.found = found

    def list(self, path: str) -> list[dict[str, Any]]:
        """The Secrets."""
        assert path == "/api/v1/secrets"
        if not self.found:
            raise ClusterError("no answer")
        return list(self.found)


def secret(value: bytes | str, type_: str = "Opaque", key: str = "password") -> dict[str, Any]:
    """As the API has it."""
    raw = value.encode() if isinstance(value, str) else value
    return {"type": type_, "data": {key: base64.b64encode(raw).decode()}}


def cluster(run: Run, api: Api) -> kind.KindCluster:
    """One of ours, whose nodes docker knows."""
    made = kind.KindCluster("dev", run.directory / "kubeconfig", run.directory, True, "packaged", "", IMAGE, run)
    made.__dict__["api"] = api
    return made


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What `kind export logs` writes, by name; that "fails" is among it makes it fail afterwards."""
    files: dict[str, bytes] = {}

    def export(_: Tool, *arguments: str, **__: object) -> None:
        folder = Path(arguments[2])
        for name, data in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if "fails" in files:
            raise ClusterError("kind: half of it")

    monkeypatch.setattr(kind, "_kind", export)
    node = docker.DockerContainer("a" * 64, "dev-control-plane", 1.0, {docker.KIND_LABEL: "dev"}, (), ())
    monkeypatch.setattr(belongings, "of_living", lambda _: (node,))
    os.umask(0o022)
    return files


def content(folder: Path) -> bytes:
    """All that is in it."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_logs_hold_no_secret_and_are_their_owners_alone(run: Run, exported: dict[str, bytes], tmp_path: Path) -> None:
    """What was registered, what Secrets of the cluster hold, also in archives, beside bytes that are no text."""
    known, stored, binary = secrets.token_urlsafe(16), secrets.token_urlsafe(16), secrets.token_bytes(40)
    register(known)
    exported |= {
        "node/journal.log": f"\xff{known}".encode("latin-1"),
        "node/pods/a/0.log": f"said {stored} and {base64.b64encode(binary).decode()}".encode(),
        "node/pods/a/1.log.gz": gzip.compress(f"and {stored[:9]}".encode()),
        "node/pods/a/2.log.gz": gzip.compress(stored.encode())[:20],
    }
    made = cluster(run, Api(secret(stored), secret(binary)))
    saved = kind.export_logs(made, KIND, tmp_path / "kept" / run.id)
    assert saved == tmp_path / "kept" / run.id
    told = content(saved)
    assert b"\xff[redacted]said [redacted] and [redacted]" in told
    for value in (known, stored, base64.b64encode(binary).decode()):
        assert not any(value[at : at + 8].encode() in told for at in range(len(value) - 7))
    for path in (saved, *saved.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert [saved] == list(saved.parent.iterdir())
    assert not list(run.directory.glob("logs-*"))


def test_fields_that_everybody_knows_cut_nothing(run: Run, exported: dict[str, bytes], tmp_path: Path) -> None:
    """A namespace's name, a date, a certificate."""
    exported["a"] = b"namespace payments at 2031-02-03T04:05:06Z"
    api = Api(
        secret("payments", "kubernetes.io/service-account-token", "namespace"),
        secret("2031-02-03T04:05:06Z", "bootstrap.kubernetes.io/token", "expiration"),
    )
    saved = kind.export_logs(cluster(run, api), KIND, tmp_path / "kept")
    assert saved
    assert content(saved) == exported["a"]


@pytest.mark.parametrize("fails", [True, False])
def test_what_there_is_is_kept_though_kind_or_the_cluster_fail(
    run: Run, exported: dict[str, bytes], tmp_path: Path, fails: bool
) -> None:
    """Logs are wanted most where not all works."""
    exported["a"] = b"why"
    if fails:
        exported["fails"] = b""
    saved = kind.export_logs(cluster(run, Api()), KIND, tmp_path / "kept")
    assert saved
    assert b"why" in content(saved)


def test_no_logs_no_folder(run: Run, exported: dict[str, bytes], tmp_path: Path) -> None:
    """Nothing is left behind, and nothing announced."""
    exported.clear()
    assert kind.export_logs(cluster(run, Api()), KIND, tmp_path / "kept" / "x") is None
    assert not (tmp_path / "kept").exists()


def test_until_they_are_redacted_logs_lie_in_the_runs_own_folder(
    run: Run, exported: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is private, and goes with the run: a kill leaves nothing that outlives the next sweep."""
    exported["a"] = b"raw"

    def killed(folder: Path, _: object) -> None:
        assert run.directory in folder.parents
        assert 0o700 == stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(run.directory.stat().st_mode)
        raise KeyboardInterrupt

    monkeypatch.setattr(diagnostics, "_clean", killed)
    with pytest.raises(KeyboardInterrupt):
        kind.export_logs(cluster(run, Api()), KIND, tmp_path / "kept" / "x")
    assert not (tmp_path / "kept").exists()
    assert not list(run.directory.glob("logs-*"))


def test_an_earlier_save_of_the_same_run_stays(run: Run, exported: dict[str, bytes], tmp_path: Path) -> None:
    """A variant that could not be made, and then the base cluster."""
    exported["a"] = b"why"
    saved = [kind.export_logs(cluster(run, Api()), KIND, tmp_path / "kept" / "x") for _ in range(3)]
    assert ["x", "x-2", "x-3"] == [path.name for path in saved if path]


def test_logs_of_old_runs_go_and_nothing_else(run: Run, exported: dict[str, bytes]) -> None:
    """Below the state directory only so many are kept."""
    exported["a"] = b"why"
    root = diagnostics.default_root()
    for number in range(diagnostics.KEPT + 3):
        old = kind.export_logs(cluster(run, Api()), KIND, root / f"{number:08x}")
        assert old
        os.utime(old, (number, number))
    (root / "mine").mkdir()
    (root / "deadbeef").mkdir()
    (root / "deadbeef" / "thesis.txt").touch()
    os.utime(root / "deadbeef", (0, 0))
    saved = kind.export_logs(cluster(run, Api()), KIND, root / run.id)
    assert saved
    names = {path.name for path in root.iterdir()}
    assert {"mine", "deadbeef", run.id, f"{diagnostics.KEPT + 2:08x}"} <= names
    assert len(names) == diagnostics.KEPT + 2
    assert "00000000" not in names


def test_logs_never_go_below_the_report_unless_asked(run: Run, tmp_path: Path) -> None:
    """CI uploads the report directory."""
    by_default = Testbeds(Settings(report=tmp_path / "report"), run, owner=True, progress=print)
    assert by_default._clusters.diagnostics == diagnostics.default_root() / run.id
    asked = Testbeds(Settings(diagnostics=tmp_path / "logs"), run, owner=True, progress=print)
    assert asked._clusters.diagnostics == tmp_path / "logs" / run.id
