"""The docker client, as a subprocess: is a daemon there, which containers are ours, run a command in one."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from pytest_k8ssec.errors import CommandError, ToolMissing
from pytest_k8ssec.freezer import thaw
from pytest_k8ssec.process import Completed, failed, run

LABEL = "io.k8ssec.run"
"""Label of every container that we start ourselves; its value is the run's id."""

KIND_LABEL = "io.x-k8s.kind.cluster"
"""Label that kind gives its node containers; its value is the cluster's name."""


_NONE_ANSWERS = re.compile(
    r"cannot connect to the docker daemon|error during connect|failed to connect to the docker api|is the docker daemon running",
    re.IGNORECASE,
)
"""In what the client says where no daemon answers it."""
_MEND = "start docker (on Debian as root: `make docker`), or set DOCKER_HOST"
_CONFIRM_SECONDS = 5
_LOOK_AGAIN = (0.0, 0.3, 1.0, 3.0)
_REMOVE_SECONDS = 60


class DaemonGone(CommandError):
    """The daemon that answered before does not any more."""


_gone: list[DaemonGone] = []
"""The first such error of this process: what was started on that daemon is not what it was, also if one answers again."""


def client() -> Path:
    """The docker client on PATH.

    Raises:
        ToolMissing: there is none.
    """
    found = shutil.which("docker")
    if found is None:
        raise ToolMissing("docker: no client on PATH", mend="install docker (on Debian as root: `make docker`)")
    return Path(found)


def check_daemon(*, deadline: float = 10) -> str:
    """The version of the daemon that answers.

    Raises:
        ToolMissing: no daemon answers, or this user may not use it.
    """
    try:
        done = run([str(client()), "version", "--format", "{{.Server.Version}}"], deadline=deadline, check=False)
    except CommandError as error:
        raise ToolMissing(f"docker daemon: {error.message}", mend="look at the daemon's log, or restart it") from error
    if done.code == 0:
        return done.text.strip()
    if "permission denied" in done.errors.lower():
        raise ToolMissing(
            "docker daemon: this user may not use its socket",
            mend="add the user to the `docker` group and log in again, or use rootless docker",
            details=done.errors,
        )
    raise ToolMissing(
        "docker daemon: none answers",
        mend=_MEND,
        details=done.errors,
    )


def endpoint() -> str:
    """Address of the daemon that the client talks to, "" where the client can't tell; the daemon is not asked.

    Raises:
        ToolMissing: there is no client.
    """
    asked = docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}", deadline=10, check=False)
    return asked.text.strip() if asked.code == 0 else ""


def docker(*arguments: str, deadline: float = 30, stdin: bytes = b"", check: bool = True, mark: str = "") -> Completed:
    """Run ``docker ARGUMENTS``.

    Args:
        mark: id of the run whose sweep waits for its end; given wherever it makes a container.

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
        raise failed(done)
    return done


def gone() -> DaemonGone | None:
    """The error with which this process found that its daemon went away; None as long as it has not."""
    return _gone[0] if _gone else None


def look() -> None:
    """Notice whether the daemon has gone, where that would explain what was seen."""
    if not _gone:
        with suppress(DaemonGone):
            _confirm()


def _confirm() -> None:
    """Raise DaemonGone unless the daemon answers."""
    try:
        check_daemon(deadline=_CONFIRM_SECONDS)
    except ToolMissing as error:
        lost = DaemonGone("docker daemon: none answers", mend=_MEND, details=error.details or error.message)
        _gone.append(lost)
        raise lost from error


def containers(label: str, value: str = "") -> list[str]:
    """Names of all containers, running or not, with a label."""
    chosen = f"label={label}={value}" if value else f"label={label}"
    return docker("ps", "--all", "--filter", chosen, "--format", "{{.Names}}").text.split()


def remove_all(find: Callable[[], Sequence[str]]) -> list[str]:
    """Remove containers with their anonymous volumes, until no more turn up; those that are gone already are no error.

    Args:
        find: names those that are there now; asked again, as another process may be removing some too.

    Returns:
        the names of all that were there.

    Raises:
        CommandError: docker refused, or says that it did it, and some are there all the same.
    """
    removed: dict[str, None] = {}
    refused: CommandError | None = None
    for pause in _LOOK_AGAIN:
        time.sleep(pause)
        found = list(find())
        if not found and pause:
            return list(removed)
        removed |= dict.fromkeys(found)
        try:
            refused = None
            if found:
                docker("rm", "--force", "--volumes", *found, deadline=_REMOVE_SECONDS)
        except CommandError as error:
            refused = error  # another process may be removing the same one: what counts is whether it goes
            ids = docker("ps", "--all", "--no-trunc", "--format", "{{.Names}} {{.ID}}", check=False).text.splitlines()
            thaw(line.split()[1] for line in ids if line.split()[0] in found)
    if refused:
        raise refused
    if left := find():
        raise CommandError(
            f"containers {', '.join(left)}: are there after {len(_LOOK_AGAIN)} removals",
            mend="find out what makes it, then `k8ssec sweep`",
        )
    return list(removed)


def gateway(network: str) -> str:
    """The IPv4 address by which a network's containers reach this machine, "" where it has none.

    Raises:
        CommandError: there is no such network.
    """
    told = docker("network", "inspect", "--format", "{{range .IPAM.Config}}{{.Gateway}} {{end}}", network).text
    return next((address for address in told.split() if ":" not in address), "")


def has_image(reference: str) -> bool:
    """Whether an image is in the local store."""
    return docker("image", "inspect", "--format", "{{.Id}}", reference, check=False).code == 0
