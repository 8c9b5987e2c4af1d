"""TLS tasks against servers of this test: what is taken, what is refused, and what is no TLS at all."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from pytest_k8ssec.agent.client_hello import CURRENT, WEAK, Offer
from pytest_k8ssec.agent.remote import agent
from pytest_k8ssec.agent.tasks import Hello, HelloHere, Http, Task, Trust
from pytest_k8ssec.probes.certificates import Pair, certificate_authority, foreign_certificate

HERE = "127.0.0.1"


def perform(task: Task) -> dict[str, Any]:
    """What the agent says."""
    return agent.perform({"id": 0, **task.specification(), "timeout": 20})


@contextmanager
def serving(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """A port on which each connection is answered in this way."""
    with socket.create_server((HERE, 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    peer = listener.accept()[0]
                except OSError:
                    return
                with peer:
                    try:
                        answer(peer)
                    except OSError:
                        continue

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def server(tmp_path: Path) -> ssl.SSLContext:
    """A server of today, with a certificate that is its own authority."""
    file = tmp_path / "pair.pem"
    file.write_text(certificate_authority("someone").pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE")
    context.load_cert_chain(file)
    return context


def speaking(context: ssl.SSLContext) -> Callable[[socket.socket], object]:
    """An answer by TLS."""
    return lambda peer: context.wrap_socket(peer, server_side=True).close()


@pytest.mark.parametrize("offer", [CURRENT, *WEAK], ids=lambda offer: offer.name)
def test_every_offer_can_be_taken(offer: Offer) -> None:
    """A server that takes everything takes each of them: none is refused for how it is written."""
    assert "open" == perform(HelloHere(offer, foreign_certificate().pem))["outcome"]


@pytest.mark.parametrize("offer", WEAK, ids=lambda offer: offer.name)
def test_a_server_of_today_refuses_what_is_weak(server: ssl.SSLContext, offer: Offer) -> None:
    """By an alert; what is current it takes."""
    with serving(speaking(server)) as port:
        assert "tls-alert" == perform(Hello(HERE, port, offer))["outcome"]
        assert "open" == perform(Hello(HERE, port, CURRENT))["outcome"]


@pytest.mark.parametrize(
    ("says", "outcome"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "closed"),
        (b"", "closed"),
        (b"\x16\x03", "closed"),
        (b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", "error"),
        (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", "error"),
        (b"\x15\x03\x01\x00\x02\x02\x28", "tls-alert"),
    ],
)
def test_only_a_server_hello_takes_an_offer(says: bytes, outcome: str) -> None:
    """Whatever else comes back, it is not taken."""

    def answer(peer: socket.socket) -> None:
        peer.recv(4096)
        peer.sendall(says)

    with serving(answer) as port:
        assert outcome == perform(Hello(HERE, port, CURRENT))["outcome"]


def test_nobody_who_listens_refuses_nothing(closed: int) -> None:
    """A refused connection is not a refused offer."""
    assert "refused" == perform(Hello(HERE, closed, CURRENT))["outcome"]


def test_a_certificate_of_another_authority_does_not_convince(server: ssl.SSLContext) -> None:
    """That is an answer, and not a task that broke; where TLS is not spoken there is none."""
    with serving(speaking(server)) as port:
        found = perform(Trust(HERE, port, foreign_certificate().certificate, "a made-up CA"))
    assert "absent" == found["outcome"]
    assert "does not verify" in found["detail"]
    with serving(lambda peer: peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        assert "closed" == perform(Trust(HERE, port, foreign_certificate().certificate, "a made-up CA"))["outcome"]


def test_a_certificate_may_have_to_name_somebody_else_than_the_host(tmp_path: Path) -> None:
    """Who hands on to a server elsewhere shows that one's certificate."""
    authority = certificate_authority("localhost")
    file = tmp_path / "pair.pem"
    file.write_text(_named(authority, "localhost"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with serving(speaking(context)) as port:
        said = [
            perform(Trust(HERE, port, file.read_text(), "its own CA", server_name=name))["outcome"]
            for name in ("", "localhost", "other")
        ]
    assert ["absent", "open", "absent"] == said


def _named(pair: Pair, name: str) -> str:
    """A certificate that is its own authority and names a host, with a key of that pair."""
    key = serialization.load_pem_private_key(pair.key.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    subject, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode() + pair.key


@pytest.mark.parametrize(("name", "told"), [("shop.example.com", "shop.example.com"), ("", None)])
def test_tls_tells_whom_it_is_meant_for(server: ssl.SSLContext, name: str, told: str | None) -> None:
    """By the name that a task gives, and nobody by an address: a server may choose its certificate by that, or refuse."""
    heard: list[str | None] = []
    server.sni_callback = lambda _peer, name, _context: heard.append(name)
    with serving(speaking(server)) as port:
        perform(Http(HERE, port, "/", server_name=name))
    assert [told] == heard
