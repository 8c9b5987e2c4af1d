"""The docker client: what is asked of it, and what its silence and its refusals become."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_k8ssec.errors import CommandError, ToolMissing
from pytest_k8ssec.machine import docker
from pytest_k8ssec.machine.docker import KIND_LABEL, RUN_LABEL, DaemonGone, DockerContainer, Listed
from pytest_k8ssec.machine.terminate import RUN_VARIABLE
from tests.unit.machine.dockers import FakeDocker


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again as often as ever, but soon."""
    monkeypatch.setattr(docker, "_LOOK_AGAIN", (0.0, 0.01, 0.02, 0.03))


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have a docker that is this shell script."""

    def made(script: str) -> None:
        program = tmp_path / "docker"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return made


@pytest.mark.parametrize("ask", [docker.client, docker.check_daemon, docker.endpoint, lambda: docker.has_image("x")])
def test_no_client_is_told_with_its_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[], object]
) -> None:
    """Whatever is asked, the missing client is the answer."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="docker: no client on PATH") as caught:
        ask()
    assert "k8ssec doctor" in caught.value.fix


def test_the_daemon_tells_its_version(fake_docker: FakeDocker) -> None:
    """The server's, not the client's."""
    assert fake_docker.folder / "docker" == docker.client()
    assert "26.1.5" == docker.check_daemon()
    assert ["version --format {{.Server.Version}}"] == fake_docker.asked


@pytest.mark.parametrize(
    ("said", "message", "fix"),
    [
        ("Got Permission Denied while trying to connect", "this user may not use its socket", "`docker` group"),
        ("Cannot connect to the Docker daemon", "none answers", "DOCKER_HOST"),
        ("", "none answers", "DOCKER_HOST"),
    ],
)
def test_a_daemon_that_can_not_be_used(fake_docker: FakeDocker, said: str, message: str, fix: str) -> None:
    """Rights that lack are told from a daemon that is not there, with docker's own words."""
    fake_docker.breaks(said)
    with pytest.raises(ToolMissing) as caught:
        docker.check_daemon()
    assert f"docker daemon: {message}" == caught.value.message
    assert fix in caught.value.fix
    assert said == caught.value.details


def test_a_daemon_that_hangs_is_given_up(scripted: Callable[[str], None]) -> None:
    """Within the deadline, as one that can't be used."""
    scripted("sleep 60")
    started = time.monotonic()
    with pytest.raises(ToolMissing, match=r"docker daemon: .*did not end within 0\.2 s"):
        docker.check_daemon(deadline=0.2)
    assert time.monotonic() - started < 30


def test_where_the_daemon_is(fake_docker: FakeDocker) -> None:
    """A client that can't tell is no error."""
    assert "unix:///fake.sock" == docker.endpoint()
    fake_docker.breaks("unknown command: context")
    assert "" == docker.endpoint()


def test_a_failure_is_told_with_dockers_words(fake_docker: FakeDocker) -> None:
    """Checked it is an error, unchecked an answer."""
    with pytest.raises(CommandError, match="exit code 1") as caught:
        docker.docker("frobnicate")
    assert "not faked: frobnicate" == caught.value.details
    assert 1 == docker.docker("frobnicate", check=False).code


def test_input_mark_and_deadline_are_handed_on(scripted: Callable[[str], None]) -> None:
    """What makes a container bears the run's id."""
    scripted(f'echo "$1 ${RUN_VARIABLE} $(cat)"')
    assert "exec 0f3c hello\n" == docker.docker("exec", stdin=b"hello", mark="0f3c").text
    scripted("sleep 60")
    with pytest.raises(CommandError, match="did not end"):
        docker.docker("exec", deadline=0.2)


def test_a_cluster_s_containers_are_found(fake_docker: FakeDocker) -> None:
    """By kind's label and the whole name; a run of ours that is called so is none."""
    fake_docker.container("a", KIND_LABEL, "dev")
    fake_docker.container("b", KIND_LABEL, "dev-2")
    fake_docker.container("c", RUN_LABEL, "dev")
    assert ["a"] == [each.name for each in docker.of_cluster("dev")]
    assert [] == docker.of_cluster("de")


def test_containers_as_docker_lists_and_describes_them(fake_docker: FakeDocker) -> None:
    """Whose they may be, when they were made, and what is mounted; one that is gone is no error."""
    node = fake_docker.container("a", KIND_LABEL, "dev", created=1.5, binds=["/mark"], volumes=["0" * 64, "named"])
    other = fake_docker.container("b", RUN_LABEL, "1")
    assert {Listed(node, "a", "", "dev"), Listed(other, "b", "1", "")} == set(docker.listed())
    (found,) = docker.described([node, "f" * 64])
    binds = ("/mark:/kind/k8ssec-run:ro",)
    assert DockerContainer(node, "a", 1.5, {KIND_LABEL: "dev"}, binds, ("0" * 64,), hostname="a") == found
    assert [] == docker.described([])


@pytest.mark.parametrize(
    "said", ["Cannot connect to nothing", "context deadline exceeded", "500 Internal Server Error"]
)
def test_a_look_that_failed_is_not_taken_for_nothing_there(scripted: Callable[[str], None], said: str) -> None:
    """The client prints an empty list then, too: what is there would be called gone, and stay for good."""
    scripted(f"echo '[]'; echo '{said}' >&2; exit 1")
    with pytest.raises(CommandError, match="docker container inspect: exit code 1") as caught:
        docker.described(["a" * 64])
    assert said == caught.value.details


def test_a_label_may_have_any_character_in_it(fake_docker: FakeDocker) -> None:
    """A stranger's must not keep us from our own."""
    fake_docker.container("a", KIND_LABEL, "x\ty\u2028z\n")
    assert ["x\ty\u2028z\n"] == [each.cluster for each in docker.listed()]


def test_volumes_are_removed_by_name(fake_docker: FakeDocker) -> None:
    """Those that are there; any other stays."""
    fake_docker.container("a", RUN_LABEL, "1", volumes=["0" * 64, "1" * 64])
    docker.remove_volumes(["1" * 64, "2" * 64])
    assert ["0" * 64] == fake_docker.volumes


def test_whether_an_image_is_there(fake_docker: FakeDocker) -> None:
    """In the local store; nothing is pulled."""
    fake_docker.image("a:1")
    assert docker.has_image("a:1")
    assert not docker.has_image("a:2")
    assert all(line.startswith("image inspect ") for line in fake_docker.asked)


# -- removing ---------------------------------------------------------------------------------------------------------


def some(*ids: str) -> list[DockerContainer]:
    """Containers of these ids."""
    return [DockerContainer(each, f"name-of-{each}", 0.0, {}, (), ()) for each in ids]


def finder(*found: list[str]) -> Callable[[], list[DockerContainer]]:
    """What is there each time that somebody looks; at the end nothing."""
    looks: Iterator[list[str]] = iter(found)
    return lambda: some(*next(looks, []))


def removals(fake: FakeDocker) -> list[str]:
    """The containers that each removal named."""
    return [line.removeprefix("rm --force --volumes ") for line in fake.asked if line.startswith("rm ")]


def test_all_that_is_found_is_removed(fake_docker: FakeDocker) -> None:
    """With its volumes, and no other."""
    for name, value in (("a", "1"), ("b", "1"), ("c", "2")):
        fake_docker.container(name, RUN_LABEL, value)

    def found() -> list[DockerContainer]:
        return docker.described(each.id for each in docker.listed() if each.run == "1")

    assert ["a", "b"] == sorted(docker.remove_all(found))
    assert ["c"] == fake_docker.containers


def test_what_turns_up_late_is_removed_too(fake_docker: FakeDocker) -> None:
    """A container that was being made when we looked first; each is named once in what was removed."""
    assert ["name-of-a", "name-of-b"] == docker.remove_all(finder([], ["a"], ["a", "b"]))
    assert ["a", "a b"] == removals(fake_docker)


def test_what_may_still_be_in_the_making_is_waited_for(
    fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing found is no end then."""
    monkeypatch.setattr(docker, "_LOOK_LONGER", (0.0, 0.01, 0.01, 0.01, 0.01))
    assert ["name-of-a"] == docker.remove_all(finder([], [], [], ["a"]), patient=True)
    assert [] == docker.remove_all(finder([], [], [], ["a"]))


def test_nothing_to_remove(fake_docker: FakeDocker) -> None:
    """docker is not bothered, and looked is twice."""
    looks: list[int] = []

    def nothing() -> list[DockerContainer]:
        looks.append(1)
        return []

    assert [] == docker.remove_all(nothing)
    assert 2 == len(looks)
    assert [] == fake_docker.asked


def test_a_refusal_is_no_error_if_they_go(fake_docker: FakeDocker) -> None:
    """Another process may be removing the same container."""
    fake_docker.breaks("removal of container a is already in progress")
    assert ["name-of-a"] == docker.remove_all(finder(["a"], ["a"]))
    assert ["a", "a"] == removals(fake_docker)


def test_a_refusal_that_did_not_stay_is_no_error(scripted: Callable[[str], None], tmp_path: Path) -> None:
    """What counts is what docker said last."""
    scripted(f"[ -e {tmp_path}/again ] || {{ touch {tmp_path}/again; exit 1; }}")
    assert ["name-of-a"] == docker.remove_all(finder(["a"], ["a"]))


def test_what_is_there_although_it_was_removed_is_an_error(fake_docker: FakeDocker) -> None:
    """That docker says it did it is not enough: what is left would be called swept."""
    with pytest.raises(CommandError, match="containers name-of-a: still exist after 4 removals"):
        docker.remove_all(lambda: some("a"))
    assert 4 == len(removals(fake_docker))


def test_a_refusal_that_stays_is_an_error(fake_docker: FakeDocker) -> None:
    """Tried several times, and told with docker's words."""
    fake_docker.breaks("device or resource busy")
    with pytest.raises(CommandError, match="exit code 1") as caught:
        docker.remove_all(lambda: some("a"))
    assert "device or resource busy" == caught.value.details
    assert 4 == len(removals(fake_docker))


def test_what_can_not_be_listed_is_an_error(fake_docker: FakeDocker) -> None:
    """Nothing found and not able to look are not the same."""
    fake_docker.breaks("Cannot connect")
    with pytest.raises(CommandError, match="exit code 1"):
        docker.remove_all(lambda: docker.described(["a"]))


@pytest.mark.parametrize(
    "said",
    [
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        "error during connect: Get http://%2Fvar%2Frun: dial unix: connect: no such file",
        "failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is correct",
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_a_daemon_that_went_away_is_told_as_such(fake_docker: FakeDocker, said: str, check: bool) -> None:
    """In each wording of the client, also where its refusal is not looked at; and it stays known."""
    assert docker.gone() is None
    fake_docker.breaks(said)
    with pytest.raises(DaemonGone, match="docker daemon: none answers") as caught:
        docker.docker("exec", "-i", "n", "true", check=check)
    assert "k8ssec doctor" in caught.value.fix
    assert said in caught.value.details
    assert docker.gone() is caught.value


def test_a_command_that_fails_while_the_daemon_answers_is_only_that(fake_docker: FakeDocker) -> None:
    """Whatever it says of docker."""
    with pytest.raises(CommandError) as caught:
        docker.docker("exec", "-i", "n", "sh", "-c", "echo Cannot connect to the Docker daemon >&2; exit 3")
    assert not isinstance(caught.value, DaemonGone)
    docker.notice_daemon()
    assert docker.gone() is None
    assert "version" in fake_docker.asked[-1]


def test_a_daemon_that_came_back_is_used_for_cleaning_up_alone(fake_docker: FakeDocker) -> None:
    """What stood on it is not what it was, so it stays gone for the tests."""
    fake_docker.container("ours", RUN_LABEL, "run")
    fake_docker.breaks("Cannot connect to the Docker daemon")
    docker.notice_daemon()

    def found() -> list[DockerContainer]:
        return docker.described(each.id for each in docker.listed() if each.run == "run")

    with pytest.raises(DaemonGone):
        docker.remove_all(found)
    fake_docker.fixes()
    assert ["ours"] == docker.remove_all(found)
    assert docker.gone() is not None
