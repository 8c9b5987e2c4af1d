"""The docker client, as a subprocess: is a daemon there, which containers are there, run a command in one."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_k8ssec.errors import CommandError, ToolMissing
from pytest_k8ssec.machine.process import Completed, exit_error, run
from pytest_k8ssec.machine.thaw import thaw

RUN_LABEL = "io.k8ssec.run"
"""Label of every container that we start ourselves; its value is the run's id."""

KIND_LABEL = "io.x-k8s.kind.cluster"
"""Label that kind gives its node containers; its value is the cluster's name."""
KIND_ROLE_LABEL = "io.x-k8s.kind.role"
"""Another one; its value is ``control-plane`` or ``worker``, or :data:`BALANCER_ROLE`."""
BALANCER_ROLE = "external-load-balancer"
"""That of what kind puts before several control planes."""


_NONE_ANSWERS = re.compile(
    r"cannot connect to the docker daemon|error during connect|failed to connect to the docker api|is the docker daemon running",
    re.IGNORECASE,
)
"""In what the client says where no daemon answers it."""
_FIX = "start docker (as root: `systemctl start docker`), or set DOCKER_HOST; `k8ssec doctor` looks again"
_CONFIRM_SECONDS = 5
_LOOK_AGAIN = (0.0, 0.3, 1.0, 3.0)
"""Seconds between looks for what is to be removed."""
_LOOK_LONGER = (*_LOOK_AGAIN, 3.0, 5.0, 8.0)
"""As long as the daemon may take for a container that it was asked for: it copies a node's files first."""
_REMOVE_SECONDS = 60
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
"""The name that docker gives to a volume for which nobody chose one."""


@dataclass(frozen=True, slots=True)
class DockerContainer:
    """An existing container, as docker describes it."""

    id: str
    """The full id, 64 hexadecimal digits: no other container ever has it."""
    name: str
    created: float
    """When it was created, in seconds since the epoch, by the daemon's clock."""
    labels: Mapping[str, str]
    binds: tuple[str, ...]
    """What is mounted, as it was asked for: ``SOURCE:TARGET`` or ``SOURCE:TARGET:OPTIONS``."""
    volumes: tuple[str, ...]
    """Names of its anonymous volumes, which are nobody else's."""
    hostname: str = ""
    """What it calls itself; of a kind node that is the node's name in Kubernetes."""


class DaemonGone(CommandError):
    """A daemon that answered before does not answer any more."""


_gone: list[DaemonGone] = []
"""The first such error of this process: what was started on that daemon is not what it was, also if one answers again."""


def client() -> Path:
    """The docker client on PATH.

    Raises:
        ToolMissing: there is none.
    """
    found = shutil.which("docker")
    if found is None:
        raise ToolMissing(
            "docker: no client on PATH",
            fix="install docker (on Debian as root: `apt-get install docker.io`); `k8ssec doctor` looks again",
        )
    return Path(found)


def check_daemon(*, deadline: float = 10) -> str:
    """The version of the daemon that answers.

    Raises:
        ToolMissing: no daemon answers, or this user may not use it.
    """
    try:
        done = run([str(client()), "version", "--format", "{{.Server.Version}}"], deadline=deadline, check=False)
    except CommandError as error:
        raise ToolMissing(f"docker daemon: {error.message}", fix="look at the daemon's log, or restart it") from error
    if done.code == 0:
        return done.text.strip()
    if "permission denied" in done.errors.lower():
        raise ToolMissing(
            "docker daemon: this user may not use its socket",
            fix="add the user to the `docker` group and log in again, or use rootless docker",
            details=done.errors,
        )
    raise ToolMissing(
        "docker daemon: none answers",
        fix=_FIX,
        details=done.errors,
    )


def endpoint() -> str:
    """Address of the daemon that the client talks to, "" where the client can't tell; the daemon is not asked.

    Raises:
        ToolMissing: there is no client.
    """
    asked = docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}", deadline=10, check=False)
    return asked.text.strip() if asked.code == 0 else ""


def daemon() -> str:
    """The id that the daemon gave to itself, "" where it has none.

    Raises:
        ToolMissing, CommandError: it does not answer.
    """
    return docker("info", "--format", "{{.ID}}").text.strip()


def docker(*arguments: str, deadline: float = 30, stdin: bytes = b"", check: bool = True, mark: str = "") -> Completed:
    """Run ``docker ARGUMENTS``.

    Args:
        mark: id of the run, so that the run's sweep waits for this command; given whenever it makes a container.

    Raises:
        CommandError: it failed or ran past its deadline.
        DaemonGone: no daemon answers any more, also where ``check`` is false.
    """
    if _gone:
        _confirm()  # else each command would wait for its own deadline
    try:
        done = run([str(client()), *arguments], deadline=deadline, stdin=stdin, check=False, mark=mark)
    except CommandError:
        _confirm()  # one that hangs may have a daemon that does
        raise
    if done.code and _NONE_ANSWERS.search(done.errors):
        _confirm()  # a command in a container may have said so
    if check and done.code:
        raise exit_error(done)
    return done


def gone() -> DaemonGone | None:
    """The error with which this process found that its daemon went away; None as long as it has not."""
    return _gone[0] if _gone else None


def notice_daemon() -> None:
    """Check whether the daemon has gone, if that would explain an error."""
    if not _gone:
        with suppress(DaemonGone):
            _confirm()


def _confirm() -> None:
    """Raise DaemonGone unless the daemon answers."""
    try:
        check_daemon(deadline=_CONFIRM_SECONDS)
    except ToolMissing as error:
        lost = DaemonGone("docker daemon: none answers", fix=_FIX, details=error.details or error.message)
        _gone.append(lost)
        raise lost from error


@dataclass(frozen=True, slots=True)
class Listed:
    """A container in docker's list."""

    id: str
    name: str
    run: str
    """Id of the run of ours that it is labelled with, "" for none."""
    cluster: str
    """Name of the kind cluster that it is a node of, "" for none."""


def listed() -> list[Listed]:
    """All containers, running or not.

    Raises:
        ToolMissing, CommandError: docker did not answer.
    """
    columns = (
        "{{json .ID}}",
        "{{json .Names}}",
        *(f'{{{{json (.Label "{one}")}}}}' for one in (RUN_LABEL, KIND_LABEL)),
    )
    told = docker("ps", "--all", "--no-trunc", "--format", f"[{','.join(columns)}]").text
    # Not by str.splitlines: a label may have any character in it.
    return [Listed(*json.loads(line)) for line in told.split("\n") if line]


def of_cluster(name: str) -> list[Listed]:
    """The containers, running or not, of the kind cluster of that name: its nodes, and a load balancer where it has one.

    Raises:
        ToolMissing, CommandError: docker did not answer.
    """
    return [each for each in listed() if each.cluster == name]


def described(ids: Iterable[str]) -> list[DockerContainer]:
    """Descriptions of those containers that exist.

    Args:
        ids: full ids.

    Raises:
        CommandError: docker did not answer.
    """
    wanted = list(ids)
    if not wanted:
        return []
    told = docker("container", "inspect", *wanted, check=False)
    refused = f"docker container inspect: exit code {told.code}"
    try:
        found = [_container(one) for one in json.loads(told.stdout)]
    except (ValueError, LookupError, TypeError) as error:
        raise CommandError(refused, details=told.errors) from error
    # It prints an empty list for whatever went wrong: only what it calls gone is gone.
    said = told.stderr.decode(errors="replace").lower()
    there = {each.id for each in found}
    if any(one not in there and f"no such container: {one}" not in said for one in wanted):
        raise CommandError(refused, details=told.errors)
    return found


def _container(told: Mapping[str, Any]) -> DockerContainer:
    return DockerContainer(
        told["Id"],
        told["Name"].removeprefix("/"),
        dt.datetime.fromisoformat(told["Created"]).timestamp(),
        told["Config"]["Labels"] or {},
        tuple(told["HostConfig"]["Binds"] or ()),
        tuple(
            mount["Name"]
            for mount in told["Mounts"] or ()
            if mount["Type"] == "volume" and _ANONYMOUS.fullmatch(mount["Name"])
        ),
        told["Config"].get("Hostname", ""),
    )


def remove_all(find: Callable[[], Sequence[DockerContainer]], *, patient: bool = False) -> list[str]:
    """Remove containers with their anonymous volumes, until no more turn up; one that is gone already is no error.

    Args:
        find: returns the containers that exist now; called again, as another process may be removing some too.
        patient: whether the daemon may still be making one, so that finding nothing is no reason to stop.

    Returns:
        the names of all that were there.

    Raises:
        CommandError: docker refused, or reported success although some still exist.
    """
    removed: dict[str, None] = {}
    refused: CommandError | None = None
    pauses = _LOOK_LONGER if patient else _LOOK_AGAIN
    for pause in pauses:
        time.sleep(pause)
        found = find()
        if not found and pause and not patient:
            return list(removed)
        removed |= dict.fromkeys(each.name for each in found)
        try:
            refused = None
            if found:
                # By their ids: another container may come to bear a name in between.
                docker("rm", "--force", "--volumes", *(each.id for each in found), deadline=_REMOVE_SECONDS)
        except CommandError as error:
            refused = error  # another process may be removing the same one: what counts is whether it goes
            thaw(each.id for each in found)
    if refused:
        raise refused
    if left := find():
        raise CommandError(
            f"containers {', '.join(each.name for each in left)}: still exist after {len(pauses)} removals",
            fix="find out what makes them, then run `k8ssec sweep`",
        )
    return list(removed)


def remove_volumes(names: Iterable[str]) -> None:
    """Remove those of the volumes that are still there; one that a container uses stays.

    Raises:
        CommandError: docker did not answer.
    """
    there = set(docker("volume", "ls", "--quiet").text.split())
    if left := [name for name in names if name in there]:
        docker("volume", "rm", *left, deadline=_REMOVE_SECONDS, check=False)


def gateways(network: str) -> tuple[str, ...]:
    """The addresses by which a network's containers reach this machine, IPv4 first; none where it has none.

    Raises:
        CommandError: there is no such network.
    """
    told = docker("network", "inspect", "--format", "{{range .IPAM.Config}}{{.Gateway}} {{end}}", network).text
    return tuple(sorted(told.split(), key=lambda address: ":" in address))


def gateway(network: str) -> str:
    """The IPv4 one of :func:`gateways`, "" where there is none."""
    return next((address for address in gateways(network) if ":" not in address), "")


def image_ids(*references: str, check: bool = False) -> list[str]:
    """The ids of those images that are in the local store, in that order.

    Raises:
        CommandError: ``check`` is true, and one is not there.
    """
    return docker("image", "inspect", "--format", "{{.Id}}", *references, check=check).text.split()


def has_image(reference: str) -> bool:
    """Whether an image is in the local store."""
    return docker("image", "inspect", "--format", "{{.Id}}", reference, check=False).code == 0
