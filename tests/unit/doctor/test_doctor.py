"""What the doctor makes of a machine: each kind of trouble with its fix, and nothing that hangs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_k8ssec.doctor import Diagnosis, Level, examine
from pytest_k8ssec.doctor.daemon import examine_client, examine_daemon, examine_info
from pytest_k8ssec.doctor.finding import at_least
from pytest_k8ssec.doctor.kernel import LIMITS, compare, examine_kernel
from pytest_k8ssec.doctor.kit import examine_images, examine_tools
from pytest_k8ssec.doctor.leftovers import examine_leftovers
from pytest_k8ssec.machine import ledger, releases, tools
from pytest_k8ssec.machine.ledger import Run
from tests.unit.machine.dockers import FakeDocker

GIB = 1 << 30
ELSEWHERE: Mapping[str, Any] = {
    "KernelVersion": "0.0.0-elsewhere",
    "CgroupVersion": "2",
    "MemTotal": 16 * GIB,
    "NCPU": 8,
    "DockerRootDir": "/var/lib/docker",
    "SecurityOptions": ["name=seccomp,profile=builtin"],
}
"""A healthy daemon in a virtual machine."""


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """No host on the internet answers."""
    monkeypatch.setattr(releases, "reaches", lambda *_: False)


def told(findings: list[Diagnosis], subject: str) -> Diagnosis:
    """The finding about a subject."""
    (found,) = [finding for finding in findings if finding.subject == subject]
    return found


@pytest.mark.parametrize(
    ("version", "minimum", "expected"),
    [
        ("v0.33.0", "v0.27.0", True),
        ("v0.9.0", "v0.27.0", False),
        ("26.1.5+dfsg1", "23", True),
        ("20.10.24", "23", False),
        ("v3.255.0-alpha.1", "v3.200.0", True),
        ("v0.27.0", "v0.27", True),
        ("", "v1", None),
        ("devel", "v1", None),
    ],
)
def test_versions_are_compared_as_numbers(version: str, minimum: str, *, expected: bool | None) -> None:
    """0.9 is older than 0.27, build data do not count, and what is no version can't be told."""
    assert expected is at_least(version, minimum)


def test_no_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a client that is the finding, and what installs one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    found = examine_client()
    assert (Level.ERROR, "docker: no client on PATH") == (found.level, found.told)
    assert "k8ssec doctor" in found.fix


def test_client_tells_its_version(fake_docker: FakeDocker) -> None:
    """The client's version, and where it is."""
    assert f"28.2.2 at {fake_docker.folder / 'docker'}" == examine_client().told


@pytest.mark.parametrize(
    ("said", "expected", "fix"),
    [
        (
            "permission denied while trying to connect to the Docker daemon socket",
            "docker daemon: this user may not use its socket: permission denied",
            "`docker` group",
        ),
        (
            "Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?",
            "docker daemon: none answers: Cannot connect",
            "start docker",
        ),
    ],
    ids=["no-rights", "no-daemon"],
)
def test_daemon_that_can_not_be_used(fake_docker: FakeDocker, said: str, expected: str, fix: str) -> None:
    """Lacking rights are told from a daemon that is not there, each with docker's own words and its fix."""
    fake_docker.breaks(said)
    found, info = examine_daemon()
    assert info is None
    assert Level.ERROR is found.level
    assert found.told.startswith(expected)
    assert fix in found.fix


def test_old_daemon_is_a_warning(fake_docker: FakeDocker) -> None:
    """A daemon before 23 works for most."""
    fake_docker.version = "20.10.24"
    found, info = examine_daemon()
    assert Level.WARNING is found.level
    assert "20.10.24 is older than 23" in found.told
    assert info == {}


def test_daemon_tells_where_it_answers(fake_docker: FakeDocker) -> None:
    """The daemon's version and address."""
    found, _ = examine_daemon()
    assert (Level.OK, "26.1.5 answers at unix:///fake.sock") == (found.level, found.told)


def test_healthy_machine_has_nothing_to_fix() -> None:
    """Where all is well, no finding carries a fix."""
    assert [""] * 4 == [finding.fix for finding in examine_info(ELSEWHERE)]


def test_first_control_groups_are_told_with_what_we_do_about_them() -> None:
    """On cgroup v1 the kubelet is patched, and that is said."""
    found = told(list(examine_info({**ELSEWHERE, "CgroupVersion": "1"})), "control groups")
    assert Level.OK is found.level
    assert "failCgroupV1: false" in found.told


def test_first_control_groups_with_rootless_docker_are_an_error() -> None:
    """kind can't make a cluster there."""
    info = {**ELSEWHERE, "CgroupVersion": "1", "SecurityOptions": ["name=rootless"]}
    assert Level.ERROR is told(list(examine_info(info)), "control groups").level


@pytest.mark.parametrize(
    ("subject", "info", "level"),
    [
        ("memory", {"MemTotal": GIB // 2}, Level.ERROR),
        ("memory", {"MemTotal": 2 * GIB}, Level.WARNING),
        ("processors", {"NCPU": 1}, Level.WARNING),
    ],
)
def test_small_machine(subject: str, info: Mapping[str, Any], level: Level) -> None:
    """Too little of something is told with what to do."""
    found = told(list(examine_info({**ELSEWHERE, **info})), subject)
    assert level is found.level
    assert found.fix


@pytest.mark.parametrize(("free", "level"), [(1, Level.ERROR), (5, Level.WARNING), (50, Level.OK)])
def test_disk_of_this_machine(free: int, level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where docker runs on this kernel, the space that is free beside its images is looked at."""
    usage = type("Usage", (), {"free": free * GIB})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    found = told(list(examine_info({**ELSEWHERE, "KernelVersion": os.uname().release})), "disk")
    assert level is found.level
    assert f"{free}.0 GiB free at /var/lib/docker" in found.told
    assert (level is Level.OK) == (found.fix == "")


def test_kernel_limits_are_compared() -> None:
    """A limit that is too low comes with its command; one that is enough, or not to be read, with none."""
    values = {"fs.inotify.max_user_instances": 128, "fs.inotify.max_user_watches": 1 << 20}
    found = list(compare(values.get))
    assert [limit.name for limit in LIMITS] == [finding.subject for finding in found]
    assert [Level.WARNING, Level.OK, Level.OK] == [finding.level for finding in found]
    assert "sysctl -w fs.inotify.max_user_instances=1024" == found[0].fix
    assert "can't be read here" == found[2].told


def test_small_neighbour_table_is_told_with_what_it_does_to_verdicts() -> None:
    """The default table makes open ports look blocked; the fix raises all three thresholds."""
    found = told(list(compare(lambda _: 1024)), "net.ipv4.neigh.default.gc_thresh3")
    assert Level.WARNING is found.level
    assert "look blocked" in found.told
    assert 3 == found.fix.count("gc_thresh")


def test_kernel_elsewhere_is_not_looked_at() -> None:
    """The limits of this machine say nothing of docker's virtual machine."""
    (found,) = examine_kernel(ELSEWHERE)
    assert (Level.OK, "kernel limits") == (found.level, found.subject)


def program(folder: Path, name: str, says: str = "") -> Path:
    """An executable on PATH."""
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)
    return path


def test_tools_are_told_with_place_and_version(fake_docker: FakeDocker, far_away: None) -> None:
    """Each tool's version, place and origin."""
    kind = program(fake_docker.folder, "kind", "kind v0.33.0 go1.27 linux/amd64")
    program(fake_docker.folder, "pulumi", "v3.255.0")
    program(fake_docker.folder, "pulumi-language-python")
    found = list(examine_tools())
    assert f"v0.33.0 at {kind} (PATH)" == told(found, "kind").told
    assert [Level.OK] * 4 == [finding.level for finding in found]


def test_old_tool_is_a_warning(fake_docker: FakeDocker, far_away: None) -> None:
    """A tool on PATH that is too old is told with what it should be."""
    program(fake_docker.folder, "kind", "kind v0.20.0 go1.20")
    found = told(list(examine_tools()), "kind")
    assert Level.WARNING is found.level
    assert "is older than v0.27.0" in found.told


def test_missing_tool_is_an_error_where_its_release_is_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, far_away: None
) -> None:
    """What is nowhere and can't be fetched names the command that gets it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    found = list(examine_tools())
    for name in ("kind", "pulumi"):
        assert Level.ERROR is told(found, name).level
        assert tools.GET == told(found, name).fix
    assert Level.WARNING is told(found, "pulumi language host").level


def test_missing_tool_is_fetched_where_its_release_is_in_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a run will fetch by itself is no trouble, and nothing is fetched now."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(releases, "reaches", lambda *_: True)
    found = told(list(examine_tools()), "kind")
    assert Level.OK is found.level
    assert "is fetched from" in found.told
    assert not tools.cache_root().exists()


def test_images(fake_docker: FakeDocker, far_away: None) -> None:
    """An image in the local store is well, one that is out of reach an error."""
    fake_docker.image(releases.PROBE_IMAGE)
    found = list(examine_images())
    assert Level.OK is told(found, "probe image").level
    assert Level.ERROR is told(found, "node image").level
    assert tools.LOAD == told(found, "node image").fix


def test_runs_of_all_kinds(fake_docker: FakeDocker) -> None:
    """Dead runs are a warning with the command that sweeps them; kept and living ones are told."""
    dead, kept, living = Run.begin(), Run.begin(), Run.begin()
    kept.will_create("cluster", "dev")
    kept.keep()
    dead.release()
    found = list(examine_leftovers())
    assert (Level.WARNING, "k8ssec sweep") == (told(found, "dead runs").level, told(found, "dead runs").fix)
    assert dead.id in told(found, "dead runs").told
    assert "dev" in told(found, "kept clusters").told
    assert living.id in told(found, "runs").told
    living.end()


def test_ledger_that_can_not_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger in the way of which something stands says so, and the doctor goes on."""
    (tmp_path / "state" / "runs" / "0123abcd").mkdir(parents=True)
    (tmp_path / "state" / "ledger.lock").mkdir()
    (found,) = examine_leftovers()
    assert Level.ERROR is found.level
    assert str(ledger.state_root()) in found.told


def test_what_rests_on_docker_is_left_out_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, far_away: None
) -> None:
    """Without a client there is one error about docker, not five."""
    monkeypatch.setenv("PATH", str(tmp_path))
    subjects = [finding.subject for finding in examine()]
    assert "docker client" == subjects[0]
    assert {"docker daemon", "disk", "node image"}.isdisjoint(subjects)
    assert {"kind", "pulumi", "runs"} <= set(subjects)


def test_every_finding_but_a_good_one_has_a_fix(fake_docker: FakeDocker, far_away: None) -> None:
    """Whatever is wrong, there is something to do; and all of it is JSON."""
    fake_docker.info = {**ELSEWHERE, "MemTotal": 1, "NCPU": 1}
    found = list(examine())
    assert [] == [finding for finding in found if finding.level is not Level.OK and not finding.fix]
    assert json.dumps([finding.to_json() for finding in found])
