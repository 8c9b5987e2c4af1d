"""The agent, run as it runs in a pod: as a process of its own, against listeners on loopback."""

from __future__ import annotations

import base64
import datetime as dt
import errno
import http.client
import io
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from pytest_k8ssec.agent.remote import agent, pod_listener
from pytest_k8ssec.agent.tasks import Http, Task, Tcp, Udp
from pytest_k8ssec.agent.vantage import Answer, ask
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.machine.process import Completed, run

HERE = "127.0.0.1"
SHORT = 0.6
"""Seconds that a task waits for what will not come."""
LONG = 10.0
"""Seconds that a task may wait for what will."""
Handler = Callable[[socket.socket], None]


class ThisMachine:
    """A place: the machine that the test runs on."""

    source = Source("client", "this machine")

    def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:
        """Run it with the Python that runs the test."""
        return run([sys.executable, *argv[1:]], deadline=deadline, stdin=stdin)


def asked(*tasks: Task) -> list[Answer]:
    """What the agent answers to tasks, in one run."""
    return ask(ThisMachine(), tasks)


def probed(task: Task) -> Evidence:
    """What the agent answers to one task."""
    return asked(task)[0].evidence


@dataclass(slots=True)
class Listeners:
    """TCP listeners that do with each connection what they are told."""

    opened: list[socket.socket]
    over: threading.Event

    def __call__(self, handler: Handler) -> int:
        """Listen, and return the port."""
        listener = socket.create_server((HERE, 0), backlog=200)
        self.opened.append(listener)
        threading.Thread(target=self._serve, args=(listener, handler), daemon=True).start()
        return int(listener.getsockname()[1])

    def _serve(self, listener: socket.socket, handler: Handler) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._handle, args=(listener.accept()[0], handler), daemon=True).start()

    def _handle(self, connection: socket.socket, handler: Handler) -> None:
        with connection, suppress(OSError):
            handler(connection)

    def silent(self, connection: socket.socket) -> None:
        """Take the connection and say nothing."""
        self.over.wait(30)


@pytest.fixture
def listen() -> Iterator[Listeners]:
    """Make listeners; they end with the test."""
    made = Listeners([], threading.Event())
    yield made
    made.over.set()
    for listener in made.opened:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def says(*parts: bytes, pause: float = 0.0) -> Handler:
    """Send this, wait for the peer to be done, close."""

    def handler(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65536)

    return handler


def answers(*parts: bytes) -> Handler:
    """Read a request's beginning, then send this and close."""

    def handler(connection: socket.socket) -> None:
        connection.recv(65536)
        for part in parts:
            connection.sendall(part)

    return handler


def resets(connection: socket.socket) -> None:
    """Close by RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def free_port() -> int:
    """A port that nothing listens on by now."""
    with socket.create_server((HERE, 0)) as listener:
        return int(listener.getsockname()[1])


# -- TCP --------------------------------------------------------------------------------------------------------------


def test_tcp_tells_open_from_refused(listen: Listeners, closed: int) -> None:
    """Also where the listener says nothing: the connection is what counts."""
    first, second = asked(Tcp(HERE, listen(listen.silent), timeout=LONG), Tcp(HERE, closed, timeout=LONG))
    assert (Outcome.OPEN, "") == (first.evidence.outcome, first.evidence.detail)
    assert (Outcome.REFUSED, "ECONNREFUSED") == (second.evidence.outcome, second.evidence.detail)
    assert first.evidence.latency_ms is not None
    assert 0 < first.evidence.latency_ms < LONG * 1000


@pytest.mark.parametrize(
    ("handler", "outcome", "detail"),
    [
        (says(b"hello nonce-1 there"), Outcome.OPEN, ""),
        (says(b"xx", b"non", b"ce-1", pause=0.1), Outcome.OPEN, ""),
        (says(b"x" * 3000 + b"nonce-1"), Outcome.OPEN, ""),
        (says(b"nonce-2"), Outcome.CLOSED, "the expected answer did not come"),
        (says(), Outcome.CLOSED, "the expected answer did not come"),
        (says(b"x" * 100_000 + b"nonce-1"), Outcome.ERROR, "somebody else answered"),
        (resets, Outcome.CLOSED, "ConnectionResetError"),
    ],
    ids=["expected", "in-pieces", "late", "other", "nothing", "oversized", "reset"],
)
def test_tcp_with_a_canary_proves_who_answered(
    listen: Listeners, handler: Handler, outcome: Outcome, detail: str
) -> None:
    """Only the expected text is open; a stranger's talk is cut off, and is no answer of the canary's."""
    found = probed(Tcp(HERE, listen(handler), expect="nonce-1", timeout=LONG))
    assert outcome is found.outcome
    assert found.detail.endswith(detail)


def test_tcp_with_a_canary_that_stalls(listen: Listeners) -> None:
    """Connected, and nothing came: no answer, within the deadline."""
    found = probed(Tcp(HERE, listen(listen.silent), expect="nonce-1", timeout=SHORT))
    assert (Outcome.NO_ANSWER, "timed out") == (found.outcome, found.detail)
    assert found.latency_ms is not None
    assert SHORT * 1000 <= found.latency_ms < 25_000


def test_a_peer_that_trickles_holds_nobody_up(listen: Listeners) -> None:
    """Each byte comes in time, the answer does not: that is no proof of anything, and soon over."""

    def trickles(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        while not listen.over.wait(0.1):
            connection.sendall(b"x")

    port = listen(trickles)
    canary, page = asked(
        Tcp(HERE, port, expect="nonce-1", timeout=3.0), Http(HERE, port, "/", tls=False, keep=4096, timeout=3.0)
    )
    assert (Outcome.ERROR, "connected, but somebody else answered") == (
        canary.evidence.outcome,
        canary.evidence.detail,
    )
    assert (Outcome.HTTP, 200) == (page.evidence.outcome, page.evidence.status)
    assert page.raw["body"].startswith("x")
    for answer in (canary, page):
        assert answer.raw["ms"] < 25_000


# -- UDP --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def datagrams() -> Iterator[Callable[[Callable[[int, bytes], bytes | None]], int]]:
    """Listen for datagrams; each is answered by what a function makes of its number and content."""
    opened: list[socket.socket] = []

    def made(reply: Callable[[int, bytes], bytes | None]) -> int:
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind((HERE, 0))
        listener.settimeout(30)
        opened.append(listener)

        def serve() -> None:
            number = 0
            with suppress(OSError):
                while True:
                    data, peer = listener.recvfrom(4096)
                    if not data:
                        return
                    if (answer := reply(number, data)) is not None:
                        listener.sendto(answer, peer)
                    number += 1

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])

    yield made
    for listener in opened:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
            stopper.sendto(b"", listener.getsockname())
        listener.close()


@pytest.mark.parametrize(
    ("reply", "outcome", "detail"),
    [
        (lambda _, data: data, Outcome.OPEN, ""),
        (lambda number, data: data if number == 2 else None, Outcome.OPEN, ""),
        (lambda *_: None, Outcome.NO_ANSWER, "no echo"),
        (lambda *_: b"hello", Outcome.ERROR, "somebody else answered"),
        (lambda _, data: data * 100, Outcome.ERROR, "somebody else answered"),
    ],
    ids=["echo", "lost-twice", "nothing", "other", "oversized"],
)
def test_udp_is_open_only_by_its_own_echo(
    datagrams: Callable[..., int], reply: Callable[..., bytes | None], outcome: Outcome, detail: str
) -> None:
    """Datagrams may be lost; another answer shows that somebody was reached, so it is not silence."""
    found = probed(Udp(HERE, datagrams(reply), timeout=SHORT if outcome is Outcome.NO_ANSWER else 3.0))
    assert (outcome, detail) == (found.outcome, found.detail)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (lambda *_: b"hello", Outcome.OPEN),
        (lambda _, data: data, Outcome.OPEN),
        (lambda _, data: b"root" if data[2:].startswith(b"\x01\x00\x00\x01") else None, Outcome.OPEN),
        (lambda *_: None, Outcome.NO_ANSWER),
    ],
    ids=["anything", "echo", "name-server", "nothing"],
)
def test_of_somebody_s_server_any_answer_will_do(
    datagrams: Callable[..., int], reply: Callable[..., bytes | None], outcome: Outcome
) -> None:
    """It is no echo of ours; a name server answers questions alone."""
    timeout = SHORT if outcome is Outcome.NO_ANSWER else 3.0
    assert outcome is probed(Udp(HERE, datagrams(reply), timeout=timeout, any_answer=True)).outcome


def test_udp_to_a_closed_port_is_refused() -> None:
    """ICMP port unreachable is told from silence."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HERE, 0))
        port = sock.getsockname()[1]
    assert Outcome.REFUSED is probed(Udp(HERE, port, timeout=SHORT)).outcome


def test_the_canary_is_reached_by_all_means() -> None:
    """What our pods listen with: TCP and HTTP with its nonce, an echo of datagrams; another nonce is another pod."""
    program = Path(pod_listener.__file__).read_text()
    everywhere_here = (('greet, ""', f'greet, ("{HERE}", "::1")'), ('"0.0.0.0"', f'"{HERE}"'), ('"::"', '"::1"'))
    for everywhere, loopback in everywhere_here:
        assert everywhere in program
        program = program.replace(everywhere, loopback)
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", program, "nonce-1", str(port)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            assert "listening nonce-1\n" == process.stdout.readline()
            found = asked(
                Tcp(HERE, port, expect="nonce-1", timeout=LONG),
                Tcp(HERE, port, expect="nonce-2", timeout=LONG),
                Udp(HERE, port, timeout=LONG),
                Http(HERE, port, "/", tls=False, timeout=LONG),
                Tcp("::1", port, expect="nonce-1", timeout=LONG),
                Udp("::1", port, timeout=LONG),
            )
        finally:
            process.terminate()
        assert 0 == process.wait(10)
    expected = [Outcome.OPEN, Outcome.CLOSED, Outcome.OPEN, Outcome.HTTP, Outcome.OPEN, Outcome.OPEN]
    assert expected == [each.evidence.outcome for each in found]
    assert 200 == found[3].evidence.status


# -- HTTP -------------------------------------------------------------------------------------------------------------


def page(status: str, body: bytes = b"", *headers: bytes) -> bytes:
    """An HTTP answer."""
    return b"\r\n".join((f"HTTP/1.1 {status}".encode(), b"Content-Length: %d" % len(body), *headers, b"", body))


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("200 OK", ()),
        ("204 No Content", ()),
        ("301 Moved", (b"Location: http://127.0.0.1:1/",)),
        ("401 Unauthorized", ()),
        ("403 Forbidden", ()),
        ("503 Busy", ()),
    ],
)
def test_http_brings_back_the_status(listen: Listeners, status: str, headers: tuple[bytes, ...]) -> None:
    """Whatever it is, and no redirect is followed."""
    found = probed(Http(HERE, listen(answers(page(status, b"", *headers))), "/", tls=False, timeout=LONG))
    assert (Outcome.HTTP, int(status[:3])) == (found.outcome, found.status)


def test_the_request_is_what_was_asked_for(listen: Listeners) -> None:
    """Method, path, headers and body."""
    heard: list[bytes] = []

    def handler(connection: socket.socket) -> None:
        while not b"".join(heard).endswith(b"the body"):
            heard.append(connection.recv(65536))
        connection.sendall(page("200 OK"))

    port = listen(handler)
    task = Http(HERE, port, "/a?b=c", tls=False, method="PUT", body="the body", headers={"X-Mine": "yes"}, timeout=LONG)
    assert 200 == probed(task).status
    request = b"".join(heard).decode()
    assert request.startswith("PUT /a?b=c HTTP/1.1\r\n")
    assert f"\r\nHost: {HERE}:{port}\r\n" in request
    assert "\r\nX-Mine: yes\r\n" in request


@pytest.mark.parametrize(("keep", "expected"), [(0, ""), (4, "abcd"), (100, "abcdefgh")])
def test_a_body_is_kept_as_far_as_it_was_asked_for(listen: Listeners, keep: int, expected: str) -> None:
    """It stands beside the evidence and never in it."""
    (found,) = asked(Http(HERE, listen(answers(page("200 OK", b"abcdefgh"))), "/", tls=False, keep=keep, timeout=LONG))
    assert expected == found.raw["body"]
    assert "abcd" not in json.dumps(found.evidence.to_json())


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\nab", b"cd"), "abcd"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", b"zz\r\n"), "ab"),
        ((b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1_000_000), "x" * 10),
        ((b"HTTP/1.1 200 OK\r\n\r\n\xff\xfe",), "\ufffd\ufffd"),
    ],
    ids=["truncated", "broken-chunk", "oversized", "binary"],
)
def test_a_broken_body_takes_nothing_back(listen: Listeners, parts: tuple[bytes, ...], expected: str) -> None:
    """The status is known; what came of the body is kept."""
    (found,) = asked(Http(HERE, listen(answers(*parts)), "/", tls=False, keep=10, timeout=LONG))
    assert (Outcome.HTTP, 200, expected) == (found.evidence.outcome, found.evidence.status, found.raw["body"])


def test_a_body_that_stalls_takes_nothing_back(listen: Listeners) -> None:
    """The status is known although the rest never came."""

    def handler(connection: socket.socket) -> None:
        answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\nab")(connection)
        listen.over.wait(30)

    (found,) = asked(Http(HERE, listen(handler), "/", tls=False, keep=10, timeout=3.0))
    assert (200, "ab") == (found.evidence.status, found.raw["body"])


@pytest.mark.parametrize(
    ("handler", "outcome", "detail"),
    [
        (answers(), Outcome.CLOSED, "RemoteDisconnected"),
        (resets, Outcome.CLOSED, "ConnectionResetError"),
        (answers(b"220 mail ESMTP\r\n"), Outcome.CLOSED, "no HTTP: BadStatusLine"),
        (answers(b"\x15\x03\x01\x00\x02\x02\x16"), Outcome.CLOSED, "no HTTP: BadStatusLine"),
        (answers(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000), Outcome.CLOSED, "no HTTP: LineTooLong"),
        (answers(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"), Outcome.CLOSED, "no HTTP: HTTPException"),
    ],
    ids=["closed", "reset", "smtp", "tls-alert", "long-header", "many-headers"],
)
def test_what_is_no_http_answer_is_no_status(
    listen: Listeners, handler: Handler, outcome: Outcome, detail: str
) -> None:
    """It is told in words, and never as success or as silence."""
    found = probed(Http(HERE, listen(handler), "/", tls=False, timeout=LONG))
    assert (outcome, detail, None) == (found.outcome, found.detail, found.status)


@pytest.mark.parametrize("tls", [True, False])
def test_http_without_an_answer_and_without_a_listener(listen: Listeners, closed: int, tls: bool) -> None:
    """Silence is told from refusal, with TLS and without."""
    silent, refused = asked(
        Http(HERE, listen(listen.silent), "/", tls=tls, timeout=SHORT),
        Http(HERE, closed, "/", tls=tls, timeout=SHORT),
    )
    assert (Outcome.NO_ANSWER, Outcome.REFUSED) == (silent.evidence.outcome, refused.evidence.outcome)


# -- TLS --------------------------------------------------------------------------------------------------------------


def signed(name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None) -> tuple[str, Any]:
    """A certificate with its key as PEM, signed by an issuer or by itself; and both as an issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode(), (certificate, key)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Files with the certificates of a CA, its server and client, and of a client that another CA has signed."""
    folder = tmp_path_factory.mktemp("pki")
    ca, issuer = signed("ca")
    _, other = signed("other ca")
    made = {"ca": ca, "server": signed("server", issuer)[0], "client": signed("client", issuer)[0]}
    made["stranger"] = signed("stranger", other)[0]
    for name, pem in made.items():
        (folder / name).write_text(pem)
    return {**made, "folder": str(folder)}


def over_tls(
    pki: Mapping[str, str], version: ssl.TLSVersion, verify: ssl.VerifyMode, *, lingers: bool = True
) -> Handler:
    """An HTTP server behind TLS, which may want a certificate of its own CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(f"{pki['folder']}/server")
    context.load_verify_locations(f"{pki['folder']}/ca")
    context.verify_mode = verify

    def handler(connection: socket.socket) -> None:
        # Kept open until the peer is done: a reset may overtake the alert.
        with connection.dup() as kept:
            try:
                with context.wrap_socket(connection, server_side=True) as secured:
                    answers(page("200 OK", b"in"))(secured)
            except ssl.SSLError:
                if lingers:
                    kept.shutdown(socket.SHUT_WR)
                    while kept.recv(65536):
                        pass

    return handler


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("who", "outcome"), [("", Outcome.TLS_ALERT), ("stranger", Outcome.TLS_ALERT), ("client", Outcome.HTTP)]
)
def test_a_listener_that_wants_a_certificate(
    listen: Listeners, pki: Mapping[str, str], version: ssl.TLSVersion, who: str, outcome: Outcome
) -> None:
    """Without one of its CA comes an alert, in the handshake or, by TLS 1.3, on the first read."""
    port = listen(over_tls(pki, version, ssl.CERT_REQUIRED))
    found = probed(Http(HERE, port, "/", certificate=pki.get(who, ""), timeout=LONG))
    assert outcome is found.outcome
    assert (found.status == 200) == (who == "client")
    assert ("ALERT" in found.detail) == (who != "client")


def test_an_alert_may_be_overtaken_by_a_reset(listen: Listeners, pki: Mapping[str, str]) -> None:
    """A listener that closes at once is told as closed then, and never as one that let somebody in or as our error."""
    port = listen(over_tls(pki, ssl.TLSVersion.TLSv1_3, ssl.CERT_REQUIRED, lingers=False))
    found = asked(*[Http(HERE, port, "/", timeout=LONG)] * 20)
    assert {Outcome.TLS_ALERT, Outcome.CLOSED} >= {answer.evidence.outcome for answer in found}


@pytest.mark.parametrize("verify", [ssl.CERT_NONE, ssl.CERT_OPTIONAL])
def test_a_listener_that_wants_none_lets_everybody_in(
    listen: Listeners, pki: Mapping[str, str], verify: ssl.VerifyMode
) -> None:
    """The agent does not verify the listener: an attacker would not either."""
    port = listen(over_tls(pki, ssl.TLSVersion.TLSv1_3, verify))
    (found,) = asked(Http(HERE, port, "/", keep=10, timeout=LONG))
    assert (200, "in") == (found.evidence.status, found.raw["body"])


def test_plain_http_to_a_tls_port_is_no_answer_of_http(listen: Listeners, pki: Mapping[str, str]) -> None:
    """The listener closes; nothing got through."""
    port = listen(over_tls(pki, ssl.TLSVersion.TLSv1_3, ssl.CERT_NONE))
    found = probed(Http(HERE, port, "/", tls=False, timeout=LONG))
    assert (Outcome.CLOSED, None) == (found.outcome, found.status)


def test_tls_to_a_plain_port_is_told_as_such(listen: Listeners) -> None:
    """It is neither an alert, which would look like a wanted certificate, nor an error of the task."""
    found = probed(Http(HERE, listen(answers(page("400 Bad Request"))), "/", timeout=LONG))
    assert (Outcome.CLOSED, "the peer does not speak TLS") == (found.outcome, found.detail)


def test_a_handshake_that_is_cut_off_is_closed(listen: Listeners) -> None:
    """A peer that hangs up has refused nobody by an alert."""
    assert Outcome.CLOSED is probed(Http(HERE, listen(answers()), "/", timeout=LONG)).outcome


def test_a_certificate_that_is_none_is_an_error_of_the_probe(listen: Listeners, pki: Mapping[str, str]) -> None:
    """Then nothing was shown, and nothing of it is in the answer."""
    port = listen(over_tls(pki, ssl.TLSVersion.TLSv1_3, ssl.CERT_REQUIRED))
    (found,) = asked(Http(HERE, port, "/", certificate="SECRET", timeout=LONG))
    assert Outcome.ERROR is found.evidence.outcome
    assert "SECRET" not in json.dumps(found.raw)


# -- the run ----------------------------------------------------------------------------------------------------------


def test_all_tasks_are_done_at_once(listen: Listeners, closed: int) -> None:
    """Fifty that wait take as long as one, and each answer stands where its task stood."""
    silent = listen(listen.silent)
    tasks = [Tcp(HERE, silent if number % 2 else closed, expect="x", timeout=1.0) for number in range(50)]
    started = time.monotonic()
    found = [answer.evidence.outcome for answer in asked(*tasks)]
    assert time.monotonic() - started < 20
    assert [Outcome.REFUSED, Outcome.NO_ANSWER] * 25 == found


def test_more_tasks_than_threads(listen: Listeners) -> None:
    """All come to their answer."""
    port = listen(says(b"nonce"))
    found = asked(*[Tcp(HERE, port, expect="nonce", timeout=LONG) for _ in range(150)])
    assert [Outcome.OPEN] * 150 == [answer.evidence.outcome for answer in found]


@pytest.mark.parametrize("wrong", [Tcp("a..b", 80), Http(HERE, 1, "/a b", tls=False), Http(HERE, 1, "/\n", tls=False)])
def test_a_task_that_breaks_is_an_error_and_nobody_elses(listen: Listeners, wrong: Task) -> None:
    """The others have their answers; the broken one proves nothing."""
    port = listen(says())
    if isinstance(wrong, Http):
        wrong = Http(HERE, port, wrong.path, tls=False)
    broken, other = asked(wrong, Tcp(HERE, port, timeout=LONG))
    assert broken.evidence.outcome in (Outcome.ERROR, Outcome.CLOSED)
    assert broken.evidence.status is None
    assert Outcome.OPEN is other.evidence.outcome


def talk(specification: Mapping[str, Any]) -> Completed:
    """The agent itself, without what checks its answers."""
    text = json.dumps(specification).encode()
    return run([sys.executable, agent.__file__], deadline=30, stdin=b"%d\n%b" % (len(text), text))


def test_the_closing_line_repeats_the_nonce() -> None:
    """One line a task, then the end with their count; an unknown operation is an answer as well."""
    done = talk({"nonce": "n1", "tasks": [{"id": 7, "op": "dance"}, {"id": 8, "op": "tcp"}]})
    *lines, end = map(json.loads, done.text.splitlines())
    assert {"end": "n1", "count": 2} == end
    assert [(7, "error", "KeyError: 'dance'"), (8, "error", "KeyError: 'host'")] == sorted(
        (line["id"], line["outcome"], line["detail"]) for line in lines
    )
    assert (0, b"") == (done.code, done.stderr)


def test_without_tasks_there_is_only_the_end() -> None:
    """No answer, and no hanging."""
    assert [{"end": "n1", "count": 0}] == [
        json.loads(line) for line in talk({"nonce": "n1", "tasks": []}).text.splitlines()
    ]


def tls_error(reason: str) -> ssl.SSLError:
    """An error of OpenSSL's."""
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (TimeoutError(), "no-answer"),
        (ConnectionRefusedError(), "refused"),
        (ConnectionResetError(), "closed"),
        (BrokenPipeError(), "closed"),
        (http.client.RemoteDisconnected(""), "closed"),
        (ssl.SSLEOFError(), "closed"),
        (ssl.SSLZeroReturnError(), "closed"),
        (tls_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "tls-alert"),
        (tls_error("WRONG_VERSION_NUMBER"), "closed"),
        (tls_error("NO_CIPHERS_AVAILABLE"), "error"),
        *((OSError(each, "x"), "unreachable") for each in sorted(agent.UNREACHABLE)),
        (OSError(errno.EMFILE, "too many open files"), "error"),
        (OSError(errno.EADDRNOTAVAIL, "no ports left"), "error"),
        (socket.gaierror(-2, "Name or service not known"), "error"),
        (MemoryError(), "error"),
    ],
    ids=repr,
)
def test_what_the_network_said_is_told_from_a_probe_that_broke(error: BaseException, outcome: str) -> None:
    """An error of our own is never "blocked"."""
    assert outcome == agent.failed(error)["outcome"]


# -- tokens -----------------------------------------------------------------------------------------------------------


def jwt(claims: object) -> str:
    """A token with these claims; nobody looks at its signature."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJSUzI1NiJ9.{payload}.c2ln"


ACCOUNT = "system:serviceaccount:payments:api"
TOKEN = jwt({"sub": ACCOUNT, "aud": ["api"]})


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the only mount."""
    folder = tmp_path / "mount"
    folder.mkdir()
    monkeypatch.setattr(agent, "mounts", lambda: [str(folder), str(tmp_path / "file")])
    return folder


def test_a_token_is_found_wherever_it_is(places: Path) -> None:
    """As kubelet lays it out, under another name, or mounted as a file; each token once."""
    data = places / "..2030"
    data.mkdir()
    (data / "token").write_text(TOKEN)
    (places / "..data").symlink_to("..2030")
    (places / "token").symlink_to("..data/token")
    other = jwt({"sub": "system:serviceaccount:web:web"})
    (places.parent / "file").write_text(f"\n{other}\n")
    (places / "ca.crt").write_text("a certificate")
    found = agent.tokens({})
    assert "done" == found["outcome"]
    assert {TOKEN: ACCOUNT, other: "system:serviceaccount:web:web"} == {
        each["token"]: each["claims"]["sub"] for each in found["tokens"]
    }
    assert TOKEN not in found["detail"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        jwt({"sub": "somebody"}),
        jwt({"aud": "x"}),
        jwt(["sub"]),
        jwt(3),
        "x" * 20_000,
        "eyJhbGciOiJSUzI1NiJ9." + base64.urlsafe_b64encode(b"\xff\xfe{").decode() + ".x",
    ],
    ids=range(10),
)
def test_what_is_no_token_of_an_account_is_none(places: Path, text: str) -> None:
    """The look worked, and nothing was there."""
    (places / "token").write_text(text)
    assert ("absent", []) == ((found := agent.tokens({}))["outcome"], found["tokens"])


@pytest.mark.parametrize(
    "text",
    [
        f"users:\n- name: x\n  user:\n    token: {TOKEN}\n",
        json.dumps({"users": [{"user": {"token": TOKEN}}]}),
        f"A=b\nTOKEN={TOKEN}\nC=d",
        f"Authorization: Bearer {TOKEN}\r\n",
        f"x-{TOKEN} ",
        "\0" + "x" * 1_000_000 + f"\xff {TOKEN}",
        f"{jwt({'sub': 'somebody'})}\nan.{TOKEN}",
    ],
    ids=["kubeconfig", "json", "variables", "header", "joined", "large", "second"],
)
def test_a_token_is_found_within_a_file(places: Path, text: str) -> None:
    """Without what stands round it: sent along, that would be refused in the token's place."""
    (places / "file").write_text(text)
    assert [TOKEN] == [each["token"] for each in agent.tokens({})["tokens"]]


def test_other_credentials_are_told_where_they_are_asked_for(places: Path) -> None:
    """As pieces, with their place; whoever does not ask gets tokens alone."""
    key = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----"
    (places / "key").write_text(f"a: {base64.b64encode(key.encode()).decode()}\nb: AKIAIOSFODNN7EXAMPLE\n")
    found = agent.tokens({"pieces": True})
    where = str(places / "key")
    assert [
        {"form": "access key of AWS", "packed": "", "text": "", "place": where},
        {"form": "key", "packed": "in base64", "text": key, "place": where},
    ] == found["pieces"]
    assert "absent" == found["outcome"], "that is of tokens"
    assert "pieces" not in agent.tokens({})


def test_a_certificate_that_lies_in_many_files_is_told_once(places: Path) -> None:
    """As a node's authorities do; what is short counts at each place, as it may be a part of something else there."""
    text = f"-----BEGIN CERTIFICATE-----\n{'M' * 80}\n-----END CERTIFICATE-----"
    for name in ("a", "b"):
        (places / name).mkdir()
        (places / name / "ca.pem").write_text(text)
        (places / name / "token-id").write_text("abcdef")
    found = [each["form"] for each in agent.tokens({"pieces": True})["pieces"]]
    assert ["certificate", "token-id", "token-id"] == sorted(found)


def test_more_pieces_than_anybody_looks_at_are_told(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search came to no end then."""
    monkeypatch.setattr(agent, "PIECES_MAX", 2)
    (places / "many").write_text("\n".join(f"abcde{number}.0123456789abcdef" for number in range(3)))
    found = agent.tokens({"pieces": True})
    assert ("error", 2) == (found["outcome"], len(found["pieces"]))


def test_what_is_large_is_not_unpacked(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is searched as it is."""
    monkeypatch.setattr(agent, "PACKED_MAX", 100)
    text = base64.b64encode(b"-" * 80 + b" abcdef.0123456789abcdef ").decode()
    (places / "large").write_text(f"{text} fedcba.0123456789abcdef")
    assert ["fedcba.0123456789abcdef"] == [each["text"] for each in agent.tokens({"pieces": True})["pieces"]]


def test_what_is_too_large_is_not_passed_over_silently(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be it one file or all of them together: what the others held is told, and that something is missing."""
    (places / "token").write_text(TOKEN)
    (places / "large").write_bytes(b"x" * 600)
    for limit in ("FILE_MAX", "BYTES_MAX"):
        with monkeypatch.context() as context:
            context.setattr(agent, limit, 599)
            found = agent.tokens({})
        assert ("error", [TOKEN]) == (found["outcome"], [each["token"] for each in found["tokens"]])
    assert "done" == agent.tokens({})["outcome"]


def test_odd_files_do_not_stop_the_search(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe is not read, which would hang; what may not be read is counted; binary is no text."""
    os.mkfifo(places / "pipe")
    (places / "loop").symlink_to("loop")
    (places / "binary").write_bytes(b"\x00\xff" * 100)
    (places / "nested").write_text("eyJhbGciOiJSUzI1NiJ9." + base64.urlsafe_b64encode(b"[" * 12_000).decode() + ".x")
    (places / "secret").write_text("x")
    (places / "token").write_text(TOKEN)

    def guarded(path: str, **how: Any) -> Any:
        if path.endswith("secret"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return io.open(path, **how)  # noqa: UP020 - the name that is replaced

    monkeypatch.setattr(agent, "open", guarded, raising=False)
    found = agent.tokens({})
    assert [TOKEN] == [each["token"] for each in found["tokens"]]
    assert found["detail"].endswith(", 1 unreadable")


def test_a_search_that_was_not_finished_has_not_found_nothing(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many files are an error, not an absence."""
    monkeypatch.setattr(agent, "FILES_MAX", 3)
    for number in range(4):
        (places / str(number)).touch()
    assert "error" == agent.tokens({})["outcome"]


def test_the_kernel_s_own_files_are_not_read(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below a mount that is searched: some of them may be read by nobody, and say nothing of tokens."""
    (places / "memory").mkdir()
    (places / "memory/token").write_text(TOKEN)
    monkeypatch.setattr(agent, "pseudo", lambda: {str(places / "memory")})
    assert "absent" == agent.tokens({})["outcome"]


def test_mount_points_of_the_kernel_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever they are, by the kind of their file system."""
    lines = [
        "1 0 0:1 / / rw - overlay overlay rw",
        "2 1 0:2 / /host/proc rw - proc proc rw",
        "3 1 0:3 / /sys/fs/cgroup ro - tmpfs tmpfs ro",
        "4 3 0:4 / /sys/fs/cgroup/memory ro - cgroup cgroup ro",
    ]
    monkeypatch.setattr(agent, "open", lambda *_, **__: io.StringIO("\n".join(lines) + "\n"), raising=False)
    assert {"/host/proc", "/sys/fs/cgroup/memory"} == agent.pseudo()


def test_mounts_that_are_skipped_are_not_searched(places: Path) -> None:
    """Neither they nor what is mounted below them; one whose name only begins alike is."""
    (places / "token").write_text(TOKEN)
    assert "absent" == agent.tokens({"skip": [str(places)]})["outcome"]
    assert "absent" == agent.tokens({"skip": [str(places.parent)]})["outcome"]
    assert "done" == agent.tokens({"skip": [str(places)[:-1]]})["outcome"]


def tree(places: Path) -> dict[str, list[str]]:
    """A node's root as it is mounted there, with a token where kubelets write it, and where that is."""
    kept = places / "var/lib/kubelet/pods/u-1/volumes/kubernetes.io~projected/kube-api-access-x"
    kept.mkdir(parents=True)
    (kept / "token").write_text(TOKEN)
    return {str(places): [f"{places}/var/lib/kubelet/pods/*/volumes/kubernetes.io~projected"]}


def test_of_a_whole_node_every_file_is_read_where_tokens_are(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many others there are; that these were not all read is told, and is no error."""
    monkeypatch.setattr(agent, "FILES_MAX", 2)
    node = tree(places)
    (places / "bin").mkdir()
    for number in range(4):
        (places / "bin" / str(number)).touch()
    found = agent.tokens({"node": node})
    assert ("done", [TOKEN], [str(places)]) == (
        found["outcome"],
        [one["token"] for one in found["tokens"]],
        found["partly"],
    )
    assert "not all" in found["detail"]
    assert "error" == agent.tokens({})["outcome"], "of any other mount every file has to be read"


def test_of_a_small_folder_of_the_node_every_file_is_read(places: Path) -> None:
    """Also where nobody expects tokens; then nothing was left out."""
    node = tree(places)
    other = jwt({"sub": "system:serviceaccount:web:web"})
    (places / "kubeconfig").write_text(other)
    found = agent.tokens({"node": node})
    assert ({TOKEN, other}, []) == ({one["token"] for one in found["tokens"]}, found["partly"])


def test_what_is_mounted_below_a_node_s_root_belongs_to_it(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root file systems of all containers are; the kernel's own file systems are not entered at all."""
    node = tree(places)
    for name in ("rootfs", "proc", "other"):
        (places / name).mkdir()
        (places / name / "f").write_text(jwt({"sub": f"system:serviceaccount:web:{name}"}))
    monkeypatch.setattr(agent, "mounts", lambda: [str(places), str(places / "rootfs"), str(places.parent / "own")])
    monkeypatch.setattr(agent, "pseudo", lambda: {str(places / "proc")})
    with monkeypatch.context() as few:
        few.setattr(agent, "FILES_MAX", 1)
        assert "done" == agent.tokens({"node": node})["outcome"], (
            "they count as the node's, and not as mounts to be read"
        )
    names = {one["claims"]["sub"].rpartition(":")[2] for one in agent.tokens({"node": node})["tokens"]}
    assert {"rootfs", "other", "api"} == names


@pytest.mark.parametrize("limit", ["NODE_FILES_MAX", "NODE_BYTES_MAX"])
def test_where_tokens_are_all_must_be_read(places: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """Else nothing is known."""
    monkeypatch.setattr(agent, limit, 0)
    assert "error" == agent.tokens({"node": tree(places)})["outcome"]


def test_time_that_is_up_is_told(places: Path) -> None:
    """A file system may be slow, and an answer that never comes is none."""
    (places / "file").touch()
    assert "error" == agent.tokens({"timeout": -1})["outcome"]
    assert "error" == agent.tokens({"timeout": -1, "node": tree(places)})["outcome"]


def shut(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Have these folders refuse everybody: tests may run as root."""
    refused = {str(folder) for folder in folders}

    def guard(name: str) -> None:
        real = getattr(os, name)

        def guarded(path: Any, *more: Any, **how: Any) -> Any:
            if any(str(path) == each or str(path).startswith(f"{each}/") for each in refused):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return real(path, *more, **how)

        monkeypatch.setattr(os, name, guarded)

    for name in ("scandir", "listdir", "lstat", "stat"):
        guard(name)


def test_what_may_not_be_looked_into_is_counted(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder as well as a file: whoever else may look into it might find something."""
    node = tree(places)
    (places / "data").mkdir()
    shut(monkeypatch, places / "data")
    assert ("done", 1) == ((found := agent.tokens({}))["outcome"], found["facts"]["denied"])
    shut(monkeypatch, places / "var/lib/kubelet/pods")
    found = agent.tokens({"node": node})
    assert ("absent", 1) == (found["outcome"], found["facts"]["denied"]), "some others do not count"
    found = agent.host_file({"paths": ["/data/x"], "nonce": "n"})
    assert ("absent", True) == (found["outcome"], found["facts"]["denied"] > 0)
    found = agent.host_file({"paths": ["/nowhere"], "nonce": "n"})
    assert ("absent", 0) == (found["outcome"], found["facts"]["denied"])


def test_files_that_can_be_opened_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By opening each, but no pipe and no device; what can't be opened is no error, and none is absent."""
    (tmp_path / "key").write_text("secret")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    found = agent.readable({"folder": str(tmp_path)})
    assert ("done", "1 of 1 files can be read") == (found["outcome"], found["detail"])
    assert "absent" == agent.readable({"folder": str(tmp_path / "nowhere")})["outcome"]
    monkeypatch.setattr(agent, "FILES_MAX", 0)
    assert "error" == agent.readable({"folder": str(tmp_path)})["outcome"]


def test_whether_a_file_could_be_written_is_asked_and_not_tried(tmp_path: Path) -> None:
    """Nothing is opened, so nothing changes."""
    (tmp_path / "pattern").touch()
    assert "done" == agent.writable({"path": str(tmp_path / "pattern")})["outcome"]
    assert "absent" == agent.writable({"path": str(tmp_path / "nowhere")})["outcome"]


def test_a_file_of_the_node_tells_whether_its_folder_could_be_written(tmp_path: Path, places: Path) -> None:
    """The planted file is found by what it holds, below whatever is mounted."""
    (places / "canary").write_text("nonce")
    found = agent.host_file({"paths": ["/canary"], "nonce": "nonce"})
    assert ("done", {"writable": True}) == (found["outcome"], found["facts"])
    assert "absent" == agent.host_file({"paths": ["/canary"], "nonce": "another"})["outcome"]


def test_a_mount_that_may_not_be_written_hides_none_that_may(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all places where the planted file is seen, one that could be written is told."""
    for name in ("a-read-only", "b-writable"):
        (places / name).mkdir()
        (places / name / "canary").write_text("nonce")
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name == "b-writable")
    found = agent.host_file({"paths": ["/a-read-only/canary", "/b-writable/canary"], "nonce": "nonce"})
    assert ("done", {"writable": True}) == (found["outcome"], found["facts"])
    assert "b-writable" in found["detail"]


def test_mounts_are_those_that_can_carry_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernel file systems and the root are left out, escaped blanks are understood, the usual place is always in."""
    lines = [
        "1 0 0:1 / / rw,relatime - overlay overlay rw",
        "2 1 0:2 / /proc rw - proc proc rw",
        "3 1 0:3 / /sys ro - sysfs sysfs ro",
        "4 1 0:4 / /dev rw - tmpfs tmpfs rw",
        "5 1 0:5 / /etc/my\\040tokens ro shared:1 - tmpfs tmpfs ro",
        "6 1 0:6 /x /var/run/secrets/kubernetes.io/serviceaccount ro - tmpfs tmpfs ro",
        "7 1 0:7 / /sys/fs/cgroup ro - cgroup2 cgroup ro",
        "8 1 0:8 /f /etc/hosts rw - ext4 /dev/sda1 rw",
    ]
    monkeypatch.setattr(agent, "open", lambda *_, **__: io.StringIO("\n".join(lines) + "\n"), raising=False)
    assert [
        "/etc/hosts",
        "/etc/my tokens",
        "/run/secrets",
        "/var/run/secrets",
        "/var/run/secrets/kubernetes.io/serviceaccount",
    ] == agent.mounts()


@pytest.mark.parametrize(
    ("written", "expected"), [("/a\\040b", "/a b"), ("/a\\134b", "/a\\b"), ("/a\\134040", "/a\\040"), ("/ä", "/ä")]
)
def test_escapes_of_mountinfo(written: str, expected: str) -> None:
    """Each escape once."""
    assert expected == agent.unescaped(written)
