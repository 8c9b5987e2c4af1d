"""Folders that can't be written, and disks without room, are told before a cluster is made: which, why, what fixes it."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from pytest_k8ssec.errors import DiskError, SettingsError
from pytest_k8ssec.machine import preflight, releases, tools
from pytest_k8ssec.machine.disks import as_disk_error, unwritable
from pytest_k8ssec.machine.preflight import Place, check, try_place
from pytest_k8ssec.reports.write_whole import write_whole
from pytest_k8ssec.settings import Settings
from pytest_k8ssec.testbed.testbeds import begin
from tests.unit.machine.dockers import FakeDocker

_MB = 1 << 20


def _mounts() -> bool:
    """Whether this process may mount: root may not in each container."""
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(os.geteuid() != 0 or not _mounts(), reason="mounting a small disk needs root")


@contextmanager
def _mounted(folder: Path, *words: str) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", *words, str(folder)], check=True, timeout=30)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=30)


@contextmanager
def _small(folder: Path, options: str = "size=64k") -> Iterator[Path]:
    """A disk of a few pages."""
    with _mounted(folder, "-t", "tmpfs", "-o", options, "tmpfs") as made:
        yield made


@contextmanager
def _full(folder: Path) -> Iterator[Path]:
    """A disk on which not even a small file has room."""
    with _small(folder) as made:
        (made / "fill").write_bytes(bytes(64 * 1024))
        yield made


@contextmanager
def _without_names(folder: Path) -> Iterator[Path]:
    """A disk with room, and no inode for one more file."""
    with _small(folder, "size=1g,nr_inodes=1") as made:
        yield made


@contextmanager
def _read_only(folder: Path) -> Iterator[Path]:
    """A disk that can only be read."""
    with _mounted(folder, "-t", "tmpfs", "-o", "ro", "tmpfs") as made:
        yield made


@contextmanager
def _in_the_way(folder: Path) -> Iterator[Path]:
    """A file where a folder is needed."""
    folder.touch()
    yield folder


@contextmanager
def _below_a_file(folder: Path) -> Iterator[Path]:
    """A folder that would stand below a file."""
    folder.touch()
    yield folder / "deeper" / "still"


@pytest.mark.parametrize(
    ("made", "why", "fix"),
    [
        pytest.param(_full, "there is no space left", "make room there", marks=needs_mounts),
        pytest.param(_small, "are free there, and a run needs 100 MiB", "make room there", marks=needs_mounts),
        pytest.param(_without_names, "no inode is free", "remove files there", marks=needs_mounts),
        pytest.param(_read_only, "read-only file system", "remount it writable", marks=needs_mounts),
        (_in_the_way, "a file stands where a folder is needed", "move the file away"),
        (_below_a_file, "a file stands where a folder is needed", "move the file away"),
    ],
)
def test_a_place_that_does_not_do_is_told(
    tmp_path: Path, made: Callable[[Path], AbstractContextManager[Path]], why: str, fix: str
) -> None:
    """With its path, the cause, and both ways out."""
    with made(tmp_path / "disk") as folder:
        place = Place("state directory", folder, 100 * _MB, "name another one: K8SSEC_STATE=DIR")
        with pytest.raises(SettingsError) as caught:
            try_place(place)
        assert caught.value.message.startswith(f"state directory {folder}: ")
        assert why in caught.value.message
        assert caught.value.fix.startswith(fix)
        assert "K8SSEC_STATE=DIR" in caught.value.fix
        assert not list(folder.glob(".k8ssec-*") if folder.is_dir() else ())


def test_a_place_that_does_is_left_as_it_was(tmp_path: Path) -> None:
    """It is made if need be, and what was tried in it is gone."""
    try_place(Place("report directory", tmp_path / "a" / "b", 1, ""))
    assert not list((tmp_path / "a" / "b").iterdir())


@pytest.fixture
def in_the_way(tmp_path: Path) -> Path:
    """A file: no folder can be made of it, by root neither."""
    path = tmp_path / "in-the-way"
    path.touch()
    return path


@pytest.mark.parametrize("which", ["K8SSEC_STATE", "K8SSEC_CACHE", "report"])
def test_a_run_does_not_begin_where_a_folder_can_not_be_written(
    fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch, in_the_way: Path, which: str
) -> None:
    """Neither docker nor the ledger has anything of it."""
    if which == "report":
        settings = Settings(report=in_the_way / "report")
    else:
        settings = Settings()
        monkeypatch.setenv(which, str(in_the_way / "deeper"))
    monkeypatch.setattr(tools, "installed", lambda _: None)
    monkeypatch.setenv("PATH", f"{fake_docker.folder}:/usr/bin:/bin")
    with pytest.raises(SettingsError, match=f"{in_the_way}.*a file stands where a folder is needed") as caught:
        begin(settings, progress=lambda _: None)
    assert which.replace("report", "--k8ssec-report") in caught.value.fix
    assert not [call for call in fake_docker.asked if call.startswith("run")]


@pytest.mark.parametrize(
    ("stack", "allowed", "provider", "looked_at"),
    [
        (False, {}, False, False),
        (True, {}, True, False),
        (True, {}, False, True),
        (True, {"tls": "why"}, True, True),
    ],
)
def test_a_cache_that_was_filled_before_need_not_be_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stack: bool,
    allowed: dict[str, str],
    provider: bool,
    looked_at: bool,
) -> None:
    """Tools may lie in an image that can only be read: it is looked at where something is to be fetched into it."""
    found = tools.Tool(tmp_path, "v1", "toolchain")
    monkeypatch.setattr(tools, "installed", lambda _: found)
    monkeypatch.setattr(tools, "find_provider", lambda: found if provider else None)
    settings = Settings(stack=tmp_path if stack else None, allow_provider=allowed)
    assert ("cache" in [place.what for place in preflight.places_written(settings)]) is looked_at


@pytest.mark.usefixtures("fake_docker")
@needs_mounts
def test_dockers_own_disk_is_looked_at_where_it_is_here(tmp_path: Path, fake_docker: FakeDocker) -> None:
    """A cluster that is there already needs no room; of a daemon elsewhere the path says nothing."""
    with _small(tmp_path / "disk") as folder:
        fake_docker.info = {"DockerRootDir": str(folder), "KernelVersion": os.uname().release}
        with pytest.raises(SettingsError, match=f"docker's data root {folder}: 0 MiB are free there") as caught:
            check(Settings())
        assert caught.value.fix == "docker system prune"
        check(Settings(cluster="there"))
        fake_docker.info = {"DockerRootDir": str(folder), "KernelVersion": "elsewhere"}
        check(Settings())


def test_sabotage_wants_room_for_the_clusters_that_stand_at_a_time(
    tmp_path: Path, fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base, one that a sabotage needs, and the next."""
    fake_docker.info = {"DockerRootDir": str(tmp_path), "KernelVersion": os.uname().release}
    monkeypatch.setattr(preflight, "space", lambda _: (2 << 30, True))
    check(Settings())
    with pytest.raises(SettingsError, match="2048 MiB are free there, and of 3 clusters each needs 1024 MiB a node"):
        check(Settings(sabotage=True))


def test_what_the_system_says_is_kept_beside_the_cause(tmp_path: Path) -> None:
    """Each cause has its remedy; the file that it was about is named where it is another."""
    path = tmp_path / "report"
    error = unwritable(PermissionError(errno.EACCES, "Permission denied", "/other/x"), path, fix="name another")
    assert error.message == f"{path} (/other/x): this user may not write there (Permission denied)"
    assert error.fix == "give this user the right or name another"
    assert str(unwritable(IsADirectoryError(errno.EISDIR, "Is a directory", str(path.with_name("tmp"))), path)) == (
        f"{path}: a folder stands where a file is needed (Is a directory)\n  fix: move the folder away"
    )
    with pytest.raises(DiskError, match="/dev/full: there is no space left"), as_disk_error(Path("/dev/full")):
        Path("/dev/full").write_text("x")
    with pytest.raises(DiskError, match="a file: Input/output error"), as_disk_error():
        raise OSError(errno.EIO, "Input/output error")


@needs_mounts
def test_a_report_on_a_full_disk_is_no_traceback_and_leaves_nothing(tmp_path: Path) -> None:
    """What was there before stays as it was."""
    with _small(tmp_path / "disk") as folder:
        write_whole(folder / "report.json", "before")
        with pytest.raises(DiskError, match=f"{folder}/report.json.*there is no space left"):
            write_whole(folder / "report.json", "x" * (1 << 20))
        assert [path.read_text() for path in folder.iterdir()] == ["before"]


@needs_mounts
def test_a_download_onto_a_full_disk_is_not_the_hosts_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is named, and how to name another one; nothing of the download is left."""
    source = tmp_path / "kind"
    source.write_bytes(bytes(1 << 20))
    release = releases.RELEASES["kind"]
    monkeypatch.setitem(
        releases.RELEASES,
        "kind",
        releases.Release(release.name, release.version, source.as_uri(), release.arch, release.sha256),
    )
    monkeypatch.setattr(releases, "reaches", lambda _: True)
    with _small(tmp_path / "disk") as folder:
        with pytest.raises(DiskError, match=f"cache {folder}.*there is no space left") as caught:
            releases.fetch("kind", folder)
        assert "K8SSEC_CACHE" in caught.value.fix
        assert not [path for path in folder.rglob("*") if path.is_file()]
