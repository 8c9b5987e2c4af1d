"""The docker client, as a subprocess: is a daemon there, which containers are ours, run a command in one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from pytest_k8ssec.errors import CommandError, ToolMissing
from pytest_k8ssec.process import Completed, run

LABEL = "io.k8ssec.run"
"""Label of every container that we start ourselves; its value is the run's id."""

KIND_LABEL = "io.x-k8s.kind.cluster"
"""Label that kind gives its node containers; its value is the cluster's name."""


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
        mend="start docker (on Debian as root: `make docker`), or set DOCKER_HOST",
        details=done.errors,
    )


def docker(
    *arguments: str, deadline: float = 30, stdin: bytes = b"", check: bool = True
) -> Completed:
    """Run ``docker ARGUMENTS``.

    Raises:
        CommandError: it failed or ran past its deadline.
    """
    return run([str(client()), *arguments], deadline=deadline, stdin=stdin, check=check)


def containers(label: str, value: str = "") -> list[str]:
    """Names of all containers, running or not, with a label."""
    chosen = f"label={label}={value}" if value else f"label={label}"
    return docker("ps", "--all", "--filter", chosen, "--format", "{{.Names}}").text.split()


def remove(names: Sequence[str]) -> None:
    """Remove containers with their anonymous volumes; those that are gone already are no error.

    Raises:
        CommandError: docker refused.
    """
    if names:
        docker("rm", "--force", "--volumes", *names, deadline=60)


def has_image(reference: str) -> bool:
    """Whether an image is in the local store."""
    return docker("image", "inspect", "--format", "{{.Id}}", reference, check=False).code == 0
