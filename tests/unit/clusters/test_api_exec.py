"""What an exec's stream says arrives whole, however its frames come."""

from __future__ import annotations

import gc
import threading
from pathlib import Path
from typing import Any

import pytest
from kubernetes.stream import ws_client
from kubernetes.stream.ws_client import ERROR_CHANNEL, STDERR_CHANNEL, STDOUT_CHANNEL

from pytest_k8ssec.clusters import api
from pytest_k8ssec.errors import ProbeError
from tests.unit.clusters.kubeconfigs import NOBODY_ANSWERS


class Stream:
    """As much of the client's WebSocket as exec uses; as there, asking for a channel takes in what has come for any."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.sock = self
        self._frames = [
            {STDOUT_CHANNEL: b"one "},
            {STDOUT_CHANNEL: b"two", ERROR_CHANNEL: b'{"status": "Success"}'},
        ]
        self._held: dict[int, bytes] = {}

    def is_open(self) -> bool:
        """The peer has closed it once all has come."""
        return bool(self._frames)

    def update(self, timeout: float = 0) -> None:
        """Take in what comes next."""
        for channel, data in self._frames.pop(0).items() if self._frames else ():
            self._held[channel] = self._held.get(channel, b"") + data

    def read_channel(self, channel: int) -> bytes:
        """What has come for a channel."""
        if channel not in self._held:
            self.update()
        return self._held.pop(channel, b"")

    def shutdown(self) -> None:
        """The connection goes."""


def test_output_that_comes_while_errors_are_asked_for_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last lines and the end of the stream may come while the other channel is read."""
    file = tmp_path / "kubeconfig"
    file.write_text(NOBODY_ANSWERS)
    monkeypatch.setattr(ws_client, "WSClient", Stream)
    done = api.KubeApi(file).exec("web", "pod", ["true"])
    assert (0, b"one two", b"") == (done.code, done.stdout, done.stderr)


def test_a_handshake_that_is_not_answered_has_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exec is an error then, and what is opened after all is closed again."""
    file = tmp_path / "kubeconfig"
    file.write_text(NOBODY_ANSWERS)
    answer, closed = threading.Event(), threading.Event()

    class Silent(Stream):
        def __init__(self, *_: Any, **__: Any) -> None:
            super().__init__()
            answer.wait(10)

        def shutdown(self) -> None:
            closed.set()

    monkeypatch.setattr(ws_client, "WSClient", Silent)
    with pytest.raises(ProbeError, match=r"exec in pod web/pod: did not begin within 0\.05 s"):
        api.KubeApi(file).exec("web", "pod", ["true"], deadline=0.05)
    answer.set()
    assert closed.wait(10)


def test_output_is_heard_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pieces, none of them twice, and all of it is there at the end as well."""
    file = tmp_path / "kubeconfig"
    file.write_text(NOBODY_ANSWERS)
    monkeypatch.setattr(ws_client, "WSClient", Stream)
    heard: list[bytes] = []
    done = api.KubeApi(file).exec("web", "pod", ["true"], heard=heard.append)
    assert b"one two" == done.stdout == b"".join(heard)
    assert b"" not in heard


class Talk(Stream):
    """A stream that says something whenever it is told something."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()
        self._frames = [{STDERR_CHANNEL: b"hm"}]
        self.told: list[bytes] = []
        self.over = False

    def is_open(self) -> bool:
        """Until it is said to be over."""
        return not self.over

    def write_stdin(self, data: bytes) -> None:
        """Answered in two frames, of which reading the one channel takes in the other."""
        self.told.append(data)
        self._frames += [{STDOUT_CHANNEL: b"to " + data[:3]}, {}]


def test_a_session_is_told_and_heard_in_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes for the other channel while one is read, nothing waits for what has come already."""
    file = tmp_path / "kubeconfig"
    file.write_text(NOBODY_ANSWERS)
    monkeypatch.setattr(ws_client, "WSClient", Talk)
    session = api.KubeApi(file).session("web", "pod", ["sh"])
    assert session.alive
    heard = [session.hear(1)]
    for word in (b"one", b"two"):
        session.tell(word)
        heard.append(session.hear(1))
    assert [(b"", b"hm"), (b"to one", b""), (b"to two", b"")] == heard


def test_a_session_that_breaks_is_a_broken_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told or heard; and it is not alive any more."""
    file = tmp_path / "kubeconfig"
    file.write_text(NOBODY_ANSWERS)

    class Broken(Stream):
        def write_stdin(self, data: bytes) -> None:
            raise BrokenPipeError("gone")

        def update(self, timeout: float = 0) -> None:
            raise ConnectionResetError("gone")

    monkeypatch.setattr(ws_client, "WSClient", Broken)
    session = api.KubeApi(file).session("web", "pod", ["sh"])
    assert not session.alive
    with pytest.raises(ProbeError, match="exec in pod web/pod: broke off: gone"):
        session.tell(b"x")
    with pytest.raises(ProbeError, match="exec in pod web/pod: broke off: gone"):
        session.hear(1)


def test_a_session_that_is_dropped_leaves_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by an agent whose pod has gone: nobody is left to close it."""
    file = tmp_path / "kubeconfig"
    file.write_text(NOBODY_ANSWERS)
    shut: list[bool] = []

    class Closing(Talk):
        def shutdown(self) -> None:
            shut.append(True)

    monkeypatch.setattr(ws_client, "WSClient", Closing)
    session = api.KubeApi(file).session("web", "pod", ["sh"])
    assert not shut
    del session
    gc.collect()
    assert [True] == shut
