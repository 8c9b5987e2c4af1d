"""A command in a container, over one WebSocket: run to its end, or talked to for as long as it runs.

Apart from :mod:`pytest_k8ssec.clusters.api`, as the WebSocket client is imported only where something is executed.
"""

from __future__ import annotations

import json
import time
import weakref
from collections.abc import Callable
from contextlib import suppress

from kubernetes.stream.ws_client import ERROR_CHANNEL, STDERR_CHANNEL, STDOUT_CHANNEL, WSClient
from websocket import WebSocketException

from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import JSON

_STDIN_CHUNK = 64 * 1024


def run_to_end(
    socket: WSClient, where: str, stdin: bytes, end: float, heard: Callable[[bytes], None]
) -> tuple[dict[str, JSON], bytes, bytes]:
    """Wait for a command's end, and close its socket.

    Args:
        socket: of the command, open.
        where: names it in errors.
        stdin: what it is given.
        end: when to give up, by the monotonic clock.
        heard: called with what comes on standard output, as it comes.

    Returns:
        the Status object that the API server ends an exec with, standard output, standard error.

    Raises:
        ProbeError: the stream broke off, or the command did not end in time.
    """
    started = time.monotonic()
    try:
        _write(socket, stdin)
        out, err = bytearray(), bytearray()
        ended = False
        while not ended:
            # Reading one channel takes in what has come for all: the end, too, and what came before it for the other.
            # So both are read once more after the end was seen.
            if not (ended := not socket.is_open()):
                if (left := end - time.monotonic()) <= 0:
                    raise ProbeError(f"{where}: did not end within {end - started:.3g} s")
                socket.update(timeout=left)
            came = socket.read_channel(STDOUT_CHANNEL)
            out += came
            if came:
                heard(came)
            err += socket.read_channel(STDERR_CHANNEL)
        return json.loads(socket.read_channel(ERROR_CHANNEL) or b"{}"), bytes(out), bytes(err)
    except (WebSocketException, OSError, ValueError) as error:
        raise ProbeError(f"{where}: broke off: {error}") from error
    finally:
        socket.sock.shutdown()  # the client's own close() leaves the socket open once the peer has said goodbye


class ExecSession:
    """A command that runs in a container, told and heard piece by piece over one WebSocket; for one thread at a time."""

    def __init__(self, socket: WSClient, where: str) -> None:
        self._socket = socket
        self._where = where
        # Whoever drops a session without closing it, as when its pod has gone, leaves no connection behind.
        self._shut = weakref.finalize(self, _shut, socket)

    @property
    def alive(self) -> bool:
        """Whether the command still runs, as far as is known without asking it."""
        try:
            self._socket.update(timeout=0)
        except (WebSocketException, OSError):
            return False
        return bool(self._socket.is_open())

    def tell(self, data: bytes) -> None:
        """Write to its standard input. Raises ProbeError."""
        try:
            _write(self._socket, data)
        except (WebSocketException, OSError) as error:
            raise ProbeError(f"{self._where}: broke off: {error}") from error

    def hear(self, seconds: float) -> tuple[bytes, bytes]:
        """What comes next on standard output and standard error; nothing where nothing came in time, or it ended.

        Raises:
            ProbeError: the stream broke.
        """
        try:
            # Reading one channel takes in what has come for both: so the output, which is waited for, is read last.
            err, out = self._socket.read_channel(STDERR_CHANNEL), self._socket.read_channel(STDOUT_CHANNEL)
            if not out and not err:
                self._socket.update(timeout=seconds)
                err, out = self._socket.read_channel(STDERR_CHANNEL), self._socket.read_channel(STDOUT_CHANNEL)
        except (WebSocketException, OSError) as error:
            raise ProbeError(f"{self._where}: broke off: {error}") from error
        return out, err

    def close(self) -> None:
        """End it: its standard input ends with the connection."""
        self._shut()


def _shut(socket: WSClient) -> None:
    with suppress(WebSocketException, OSError):
        socket.sock.shutdown()


def _write(socket: WSClient, data: bytes) -> None:
    """To a command's standard input, in pieces that every server takes."""
    for start in range(0, len(data), _STDIN_CHUNK):
        socket.write_stdin(data[start : start + _STDIN_CHUNK])
