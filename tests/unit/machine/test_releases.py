"""Pinned releases, fetched from a server of the test's own: whole and right, or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import platform
import socket
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pytest_k8ssec.errors import ToolMissing
from pytest_k8ssec.machine import releases
from pytest_k8ssec.machine.releases import NODE_IMAGES, PROBE_IMAGE, RELEASES, Release, fetch, location, reaches

PROGRAM = b"#!/bin/sh\necho v1.2.3\n" + b"#" * 100_000
Answer = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    """A download site on loopback."""

    daemon_threads = True
    answer: Answer
    asked: int = 0
    over: threading.Event


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that gives the program, unless told otherwise."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer as the test wants."""
            site.asked += 1
            site.answer(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    site = Server(("127.0.0.1", 0), Handler)
    site.answer = whole(PROGRAM)
    site.over = threading.Event()
    thread = threading.Thread(target=site.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield site
    site.over.set()
    site.shutdown()
    site.server_close()
    thread.join()


@pytest.fixture
def pin(server: Server, no_proxy: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Pin ``kind`` to what the server should give, for this machine."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(releases, "reaches", lambda *_: True)  # it asks for port 443
    monkeypatch.setattr(releases, "CONNECT_SECONDS", 20)

    def made(content: bytes) -> None:
        url = f"http://127.0.0.1:{server.server_port}/{{os}}/{{arch}}"
        checksums = {"linux-amd64": hashlib.sha256(content).hexdigest()}
        monkeypatch.setitem(RELEASES, "kind", Release("kind", "v1.2.3", url, {"x86_64": "amd64"}, checksums))

    made(PROGRAM)
    return made


def whole(content: bytes) -> Answer:
    """All of it, with its length."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    return answer


def truncated(request: BaseHTTPRequestHandler) -> None:
    """Half of what was announced."""
    request.send_response(200)
    request.send_header("Content-Length", str(len(PROGRAM)))
    request.end_headers()
    request.wfile.write(PROGRAM[: len(PROGRAM) // 2])


def truncated_chunks(request: BaseHTTPRequestHandler) -> None:
    """A chunk that ends too early, of a body without a length."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\nabc")


def nonsense(request: BaseHTTPRequestHandler) -> None:
    """No HTTP."""
    request.wfile.write(b"220 mail.example ESMTP\r\n")


def left(cache: Path) -> list[Path]:
    """All files in the cache."""
    return [path for path in cache.rglob("*") if path.is_file()]


def test_an_executable_is_fetched_once(server: Server, pin: object, tmp_path: Path) -> None:
    """It is executable, where the cache has it, and asked for no second time."""
    path = fetch("kind", tmp_path)
    assert location("kind", tmp_path) == path == fetch("kind", tmp_path)
    assert PROGRAM == path.read_bytes()
    assert os.access(path, os.X_OK)
    assert 1 == server.asked
    assert [path] == left(tmp_path)
    assert [path.parent] == list(path.parent.parent.iterdir())


def test_a_tarball_is_unpacked(server: Server, pin: Callable[[bytes], None], tmp_path: Path) -> None:
    """All that stands beside the executable in its folder comes with it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("kind", "kind-helper"):
            entry = tarfile.TarInfo(f"folder/{name}")
            entry.size, entry.mode = len(PROGRAM), 0o755
            archive.addfile(entry, io.BytesIO(PROGRAM))
    pin(packed.getvalue())
    server.answer = whole(packed.getvalue())
    path = fetch("kind", tmp_path)
    assert PROGRAM == path.read_bytes() == path.with_name("kind-helper").read_bytes()
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (whole(PROGRAM + b"\n"), "has sha256"),
        (whole(b""), "has sha256"),
        (truncated, "has sha256"),
        (truncated_chunks, "out of reach: IncompleteRead"),
        (nonsense, "out of reach: 220 mail.example"),
        (lambda request: request.send_error(404), "out of reach: Not Found"),
        (lambda request: request.send_error(503), "out of reach: Service Unavailable"),
        (lambda request: None, "out of reach: Remote end closed"),
    ],
    ids=["other-file", "empty", "truncated", "truncated-chunks", "no-http", "404", "503", "closed"],
)
def test_what_is_not_the_pinned_file_leaves_nothing(
    server: Server, pin: object, tmp_path: Path, answer: Answer, why: str
) -> None:
    """The error names the address; no file stays; and the next attempt starts afresh."""
    server.answer = answer
    with pytest.raises(ToolMissing) as caught:
        fetch("kind", tmp_path)
    assert why in caught.value.message
    assert f"http://127.0.0.1:{server.server_port}/linux/amd64" in caught.value.message
    assert [] == left(tmp_path)
    assert [] == list((tmp_path / "releases").iterdir())
    server.answer = whole(PROGRAM)
    assert PROGRAM == fetch("kind", tmp_path).read_bytes()


def test_a_wrong_checksum_is_told_with_the_right_one(server: Server, pin: object, tmp_path: Path) -> None:
    """So that it can be compared with what others publish."""
    server.answer = whole(b"evil")
    with pytest.raises(ToolMissing) as caught:
        fetch("kind", tmp_path)
    for content in (b"evil", PROGRAM):
        assert hashlib.sha256(content).hexdigest() in caught.value.message
    assert "do not use that file" == caught.value.fix


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nabc"], ids=["head", "body"])
def test_a_server_that_stalls_is_given_up(
    server: Server, pin: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    """Whether it says nothing or stops in the middle, it is over within seconds and nothing is left."""
    monkeypatch.setattr(releases, "CONNECT_SECONDS", 0.5)

    def stalls(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(begun)
        server.over.wait(60)

    server.answer = stalls
    started = time.monotonic()
    with pytest.raises(ToolMissing, match="timed out"):
        fetch("kind", tmp_path)
    assert time.monotonic() - started < 25
    assert [] == left(tmp_path)


def test_a_server_that_trickles_is_given_up(
    server: Server, pin: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte comes in time, the file does not: the whole has a deadline too."""

    def trickles(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not server.over.wait(0.1):
            request.wfile.write(b"x")

    monkeypatch.setattr(releases, "_DOWNLOAD_SECONDS", 1)
    server.answer = trickles
    started = time.monotonic()
    with pytest.raises(ToolMissing, match="not fetched within 1 s"):
        fetch("kind", tmp_path)
    assert time.monotonic() - started < 25
    assert [] == left(tmp_path)


def test_many_fetch_it_at_once(server: Server, pin: object, tmp_path: Path) -> None:
    """Each gets a whole executable, whoever was first; nobody's scratch is left."""
    together = threading.Barrier(6)

    def together_then_whole(request: BaseHTTPRequestHandler) -> None:
        together.wait(20)
        whole(PROGRAM)(request)

    server.answer = together_then_whole
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: fetch("kind", tmp_path).read_bytes(), range(6)))
    assert [PROGRAM] * 6 == found
    assert [location("kind", tmp_path)] == left(tmp_path)


@pytest.mark.parametrize(("system", "machine"), [("Linux", "riscv64"), ("Windows", "x86_64"), ("Linux", "")])
def test_a_machine_without_release_is_told(
    server: Server, pin: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    """Nothing is asked, and nothing is made."""
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(ToolMissing, match=f"kind: no pinned release for {system} on {machine}"):
        fetch("kind", tmp_path)
    assert 0 == server.asked
    assert [] == list(tmp_path.iterdir())


def test_a_host_out_of_reach_is_not_waited_for(
    server: Server, pin: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The download is not begun, and the host is named."""
    monkeypatch.setattr(releases, "reaches", lambda *_: False)
    with pytest.raises(ToolMissing, match=r"out of reach: no answer from 127\.0\.0\.1 within seconds"):
        fetch("kind", tmp_path)
    assert 0 == server.asked
    assert [] == left(tmp_path)


# -- reach ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy is configured."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("listens", [True, False])
def test_a_host_is_in_reach_if_it_takes_a_connection(no_proxy: None, listens: bool) -> None:
    """A port that refuses is known at once."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if listens:
            listener.listen()
        assert listens is reaches("127.0.0.1", listener.getsockname()[1])


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_behind_a_proxy_reach_is_taken_for_granted(no_proxy: None, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Only the proxy can tell."""
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert reaches("127.0.0.1", 1)


def test_a_name_that_is_looked_up_for_ever_is_given_up(no_proxy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name servers that do not answer have no deadline of their own."""
    over = threading.Event()

    def looks_up(*_: object, **__: object) -> None:
        over.wait(60)
        raise OSError("no such name")

    monkeypatch.setattr(releases, "CONNECT_SECONDS", -0.9)  # a second more is given
    monkeypatch.setattr(socket, "create_connection", looks_up)
    started = time.monotonic()
    assert not reaches("nowhere.invalid")
    assert time.monotonic() - started < 25
    over.set()


# -- the pins ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RELEASES)
def test_each_release_is_pinned_for_each_machine(name: str) -> None:
    """Linux and macOS, both architectures, by a sha256 and over https; the address names the version."""
    release = RELEASES[name]
    assert {f"{system}-{arch}" for system in ("linux", "darwin") for arch in release.arch.values()} == set(
        release.sha256
    )
    assert all(len(bytes.fromhex(checksum)) == 32 for checksum in release.sha256.values())
    assert len(release.sha256) == len(set(release.sha256.values()))
    assert release.url.startswith("https://")
    assert release.version in release.url


def test_images_are_pinned_by_digest() -> None:
    """A tag alone could move; each node image is that of its version, newest first."""
    for version, image in NODE_IMAGES.items():
        assert image.startswith(f"kindest/node:{version}@sha256:")
    for image in (*NODE_IMAGES.values(), PROBE_IMAGE):
        assert 32 == len(bytes.fromhex(image.partition("@sha256:")[2]))
    numbers = [tuple(map(int, version.removeprefix("v").split("."))) for version in NODE_IMAGES]
    assert sorted(numbers, reverse=True) == numbers
