"""What of testinfra's hosts a type checker knows: testinfra itself has no types, so that all of it would be ``Any``.

At run time each of these is testinfra's own object, and has all that testinfra has. What is not listed here is reached by a cast.
"""

from __future__ import annotations

from typing import Protocol


class NodeHost(Protocol):
    """A node, as root on it: https://testinfra.readthedocs.io/en/latest/modules.html."""

    def file(self, path: str) -> NodeFile:
        """A file or a folder, whether it is there or not."""

    def run(self, command: str, *args: str) -> NodeCommand:
        """Run a command in a shell; each ``%s`` in it stands for an argument, quoted."""

    def check_output(self, command: str, *args: str) -> str:
        """The same, for its standard output. Raises AssertionError where the exit code is not 0."""

    def exists(self, command: str) -> bool:
        """Whether there is a command of that name."""

    def service(self, name: str) -> NodeService:
        """A systemd unit."""

    def socket(self, socketspec: str) -> NodeSocket:
        """A listening socket: ``tcp://127.0.0.1:2379``, ``tcp://22``, ``unix:///run/x.sock``."""

    def sysctl(self, name: str) -> str | int:
        """A kernel parameter."""


class NodeFile(Protocol):
    """A path of a node."""

    @property
    def exists(self) -> bool:
        """Whether it is there."""

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""

    @property
    def is_directory(self) -> bool:
        """Whether it is a folder."""

    @property
    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""

    @property
    def linked_to(self) -> str:
        """Where a symbolic link leads to in the end."""

    @property
    def user(self) -> str:
        """Name of its owner."""

    @property
    def uid(self) -> int:
        """Id of its owner."""

    @property
    def group(self) -> str:
        """Name of its group."""

    @property
    def gid(self) -> int:
        """Id of its group."""

    @property
    def mode(self) -> int:
        """Its permissions: ``0o600``."""

    @property
    def size(self) -> int:
        """Its length in bytes."""

    @property
    def sha256sum(self) -> str:
        """SHA-256 of its content, in hex."""

    @property
    def content(self) -> bytes:
        """What is in it."""

    @property
    def content_string(self) -> str:
        """The same, decoded as UTF-8."""

    def contains(self, pattern: str) -> bool:
        """Whether a line of it matches, as grep(1) does it."""

    def listdir(self) -> list[str]:
        """Names of what is in a folder."""


class NodeCommand(Protocol):
    """What a command came to."""

    @property
    def rc(self) -> int:
        """Its exit code."""

    @property
    def succeeded(self) -> bool:
        """Whether that is 0."""

    @property
    def failed(self) -> bool:
        """Whether it is not."""

    @property
    def stdout(self) -> str:
        """Its standard output."""

    @property
    def stderr(self) -> str:
        """Its standard error."""


class NodeService(Protocol):
    """A systemd unit of a node."""

    @property
    def is_running(self) -> bool:
        """Whether it runs now."""

    @property
    def is_enabled(self) -> bool:
        """Whether it starts with the node."""


class NodeSocket(Protocol):
    """An address of a node."""

    @property
    def is_listening(self) -> bool:
        """Whether somebody listens there."""
