"""Every error that a user may see: what failed, why, and what fixes it.

An error's text is lower case, subject first: ``kind cluster "dev": does not exist``. ``fix`` is a command or a change
that the reader can make at once; it is printed on a line of its own. Neither may hold a secret value.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pytest_k8ssec.plain import shown


class K8ssecError(Exception):
    """Root of all errors raised on purpose by this package.

    Args:
        message: one line, ``culprit: cause``.
        fix: what to do about it, or "" where nothing sensible can be said.
        details: further lines (a tool's own diagnostics, a cluster's events), shown below.
    """

    def __init__(self, message: str, *, fix: str = "", details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.details = details

    def __str__(self) -> str:
        parts = [self.message]
        if self.fix:
            parts.append(f"  fix: {self.fix}")
        if self.details:
            parts.extend(f"  | {line}" for line in self.details.rstrip().splitlines())
        return shown("\n".join(parts))


class SettingsError(K8ssecError):
    """An option, an ini value, an environment variable or a ``[tool.k8ssec]`` key is wrong."""


class DiskError(K8ssecError):
    """A file or a folder that a run needs can't be written or read: no room, no right, or something in the way."""


class ToolMissing(K8ssecError):
    """A tool or an image that is needed was neither found nor fetched; ``fix`` names the command that gets it."""


class CommandError(K8ssecError):
    """An external command failed, could not be started, or ran past its deadline."""


class ClusterError(K8ssecError):
    """A cluster could not be created, found, reached or removed."""


class StackError(K8ssecError):
    """A Pulumi stack could not be read, previewed, deployed or destroyed."""


class ProbeError(K8ssecError):
    """A probe could not do its work, so nothing may be concluded from it: the verdict is inconclusive."""


class SabotageError(K8ssecError):
    """A sabotage could not be applied, did not prove that it took effect, or was refused."""


class NotUndone(SabotageError):
    """What a sabotage changed could not be put back: nothing is judged on that cluster any more."""


class NoAccess(K8ssecError):
    """A control needs something that this run may not touch, or that does not exist: the verdict is not-applicable."""


@contextmanager
def as_probe_error(creating: str = "") -> Iterator[None]:
    """Within this context the requests are probes, so a ClusterError is raised as a ProbeError.

    Args:
        creating: the object that is created within, such as ``pod web/shop``; the error says that it was refused.
    """
    try:
        yield
    except ClusterError as error:
        raise ProbeError(f"{creating}: was refused: {error.message}" if creating else str(error)) from error
