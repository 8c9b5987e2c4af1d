"""No request to loopback, or to the cluster under test, goes to a proxy of the user's."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import socket
import ssl
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.machine.process import run
from pytest_k8ssec.machine.proxies import direct, is_loopback

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_NAMES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class _Api(BaseHTTPRequestHandler):
    """As much of an API server as there are ways to ask one."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """An object, a watch, or a WebSocket."""
        if self.headers.get("Upgrade"):
            self._exec()
        elif "watch=1" in self.path:
            self._answer(json.dumps({"type": "MODIFIED", "object": {"seen": "watch"}}) + "\n")
        else:
            self._answer(json.dumps({"items": [], "token": self.headers.get("Authorization", "none")}))

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def _exec(self) -> None:
        key = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + _GUID).encode(), usedforsecurity=False).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(key).decode())
        self.send_header("Sec-WebSocket-Protocol", "v4.channel.k8s.io")
        self.end_headers()
        for payload in (b"\x01hello", b'\x03{"status": "Success"}'):
            self.wfile.write(b"\x82" + bytes([len(payload)]) + payload)
        self.wfile.write(b"\x88\x00")
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the standard library
        """Say nothing."""


@dataclass
class _Proxy:
    """Refuses whatever comes, and counts it."""

    url: str = ""
    asked: list[bytes] = field(default_factory=list)


@pytest.fixture
def proxy() -> Iterator[_Proxy]:
    """A proxy that nobody is to ask."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = _Proxy(f"http://127.0.0.1:{listener.getsockname()[1]}")

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.settimeout(5)
                    made.asked.append(peer.recv(200))
                    peer.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@contextmanager
def _served(tmp_path: Path, *, tls: bool) -> Iterator[Path]:
    """An API server on loopback. Gives its kubeconfig."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    cluster: dict[str, str] = {"server": f"http://127.0.0.1:{server.server_port}"}
    if tls:
        key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
        run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=api", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out",
             str(certificate)], deadline=30,
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        cluster = {
            "server": f"https://127.0.0.1:{server.server_port}",
            "certificate-authority-data": base64.b64encode(certificate.read_bytes()).decode(),
        }
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield _kubeconfig(tmp_path, cluster)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _kubeconfig(tmp_path: Path, cluster: dict[str, str]) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "ours"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(params=[None, "", "corp.example"], ids=["unset", "empty", "something else"])
def exceptions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """NO_PROXY as users have it: never with loopback in it."""
    for name in ("NO_PROXY", "no_proxy", *_NAMES):
        monkeypatch.delenv(name, raising=False)
    given: str | None = request.param
    if given is not None:
        monkeypatch.setenv("NO_PROXY", given)
        monkeypatch.setenv("no_proxy", given)
    return given


@pytest.mark.usefixtures("exceptions")
@pytest.mark.parametrize("name", _NAMES)
@pytest.mark.parametrize("tls", [False, pytest.param(True, marks=pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not there to make a certificate with"))])  # fmt: skip
def test_the_api_server_is_asked_without_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: _Proxy, name: str, tls: bool
) -> None:
    """Requests with our credentials and without, watches and execs, in every spelling of the variables."""
    monkeypatch.setenv(name, proxy.url)
    with _served(tmp_path, tls=tls) as kubeconfig:
        api = KubeApi(kubeconfig)
        assert api.request("GET", "/version").body["token"] == "Bearer ours"
        assert api.request("GET", "/version", token="").body["token"] == "none"
        assert api.request("GET", "/version", token="other").body["token"] == "Bearer other"
        assert next(api.watch("/api/v1/pods", deadline=20))[1] == {"seen": "watch"}
        assert api.exec("web", "pod", ["true"]).stdout == b"hello"
    assert proxy.asked == []


@pytest.mark.usefixtures("exceptions")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_proxy_of_the_kubeconfig_does_not_count_for_loopback(
    tmp_path: Path, proxy: _Proxy, closed: int, host: str
) -> None:
    """What is on this machine is not asked for elsewhere, whoever says so: here nobody listens, and that is the answer."""
    api = KubeApi(_kubeconfig(tmp_path, {"server": f"http://{host}:{closed}", "proxy-url": proxy.url}))
    for token in (None, ""):
        with pytest.raises(ClusterError, match="no answer"):
            api.request("POST", "/version", token=token)
    assert proxy.asked == []


@pytest.mark.usefixtures("exceptions")
def test_a_proxy_of_the_kubeconfig_is_asked_for_what_is_elsewhere(tmp_path: Path, proxy: _Proxy) -> None:
    """Whoever wrote it there knows that the cluster is not reached in another way: with and without credentials."""
    server = "http://api.cluster.invalid:6443"
    api = KubeApi(_kubeconfig(tmp_path, {"server": server, "proxy-url": proxy.url}))
    for token in (None, ""):
        assert api.request("POST", "/version", token=token).status == 403
    assert [server.encode() in each for each in proxy.asked] == [True, True]


@pytest.mark.usefixtures("exceptions")
@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY"])
def test_a_child_reaches_loopback_and_the_cluster_without_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: _Proxy, name: str
) -> None:
    """Python's own client, as a stand-in for all that obey the environment, in a command that we run."""
    monkeypatch.setenv(name, proxy.url)
    ask = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1] + '/version', timeout=10).status)"
    with _served(tmp_path, tls=False) as kubeconfig:
        server = KubeApi(kubeconfig).server
        assert run([sys.executable, "-c", ask, server], deadline=60).text.strip() == "200"
    assert proxy.asked == []
    # What goes elsewhere keeps the proxy.
    away = run([sys.executable, "-c", ask, "http://mirror.invalid"], deadline=60, check=False)
    assert "403" in away.errors
    assert len(proxy.asked) == 1


def test_exceptions_of_the_user_stay_in_whichever_case_they_were_written() -> None:
    """Both lists, for tools that know only one of them; that of gRPC, which hides the others where it is set."""
    made = direct(
        {
            "https_proxy": "http://p:1",
            "NO_PROXY": "a.example, b.example",
            "no_proxy": "c.example",
            "no_grpc_proxy": "g",
        },
        ["10.0.0.1"],
    )
    assert made["NO_PROXY"] == made["no_proxy"]
    assert {"a.example", "b.example", "c.example", "127.0.0.1", "localhost", "10.0.0.1"} <= set(
        made["NO_PROXY"].split(",")
    )
    assert {"g", "127.0.0.1", "10.0.0.1"} <= set(made["no_grpc_proxy"].split(","))


@pytest.mark.parametrize("env", [{}, {"NO_PROXY": "a"}, {"HTTPS_PROXY": "", "PATH": "/bin"}])
def test_without_a_proxy_nothing_changes(env: dict[str, str]) -> None:
    """A child's environment is what it was."""
    assert direct(env, ["10.0.0.1"]) == env


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("api.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("0.0.0.0", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("", False),
    ],
)
def test_what_is_loopback(host: str, ours: bool) -> None:
    """By name or address; a name that only looks like one is elsewhere."""
    assert is_loopback(host) is ours


def test_the_recording_proxy_records(proxy: _Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else none of these tests could fail."""
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(OSError, match="403"):
        urllib.request.build_opener().open("http://127.0.0.1:1/", timeout=10)
    assert len(proxy.asked) == 1
