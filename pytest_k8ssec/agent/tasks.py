"""What the agent can be asked to do: typed tasks, and how each reads in evidence."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pytest_k8ssec.agent.client_hello import Offer
from pytest_k8ssec.evidence import JSON

TIMEOUT = 2.0
"""Seconds that one connection, and each read on it, may take."""


class Task(Protocol):
    """One thing for the agent to do."""

    def specification(self) -> dict[str, JSON]:
        """What the agent is told (agent/remote/agent.py); may hold secrets, and is only ever sent on standard input."""

    def __str__(self) -> str:
        """How the request reads in evidence; never holds a secret."""


def host_and_port(host: str, port: int) -> str:
    """``host:port``, with brackets round an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Tcp:
    """A TCP connection; with ``expect`` the peer must send that text."""

    host: str
    port: int
    expect: str = ""
    timeout: float = TIMEOUT

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        return {"op": "tcp", "host": self.host, "port": self.port, "expect": self.expect, "timeout": self.timeout}

    def __str__(self) -> str:
        return f"TCP {host_and_port(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class Udp:
    """A UDP datagram to an echo; to a server of somebody's, from which any answer will do."""

    host: str
    port: int
    timeout: float = TIMEOUT
    any_answer: bool = False
    """Whether whatever comes back counts; a question for name servers is sent as well, as those ignore all else."""

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        asked = {"any_answer": True} if self.any_answer else {}
        return {"op": "udp", "host": self.host, "port": self.port, "timeout": self.timeout, **asked}

    def __str__(self) -> str:
        return f"UDP {host_and_port(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class Http:
    """One HTTP request. TLS verifies nothing: the question is whether the peer lets us in.

    ``identity`` says in words as whom it is sent (``without credentials``); ``certificate`` is a PEM of certificate
    and key, and headers may carry a token: neither is ever shown.
    """

    host: str
    port: int
    path: str
    tls: bool = True
    method: str = "GET"
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate: str = field(default="", repr=False)
    identity: str = "without credentials"
    keep: int = 0
    """How many bytes of the answer's body to bring back."""
    timeout: float = TIMEOUT
    server_name: str = ""
    """Whom TLS is told to be meant for, "" for the host; an address is told to nobody. Source: RFC 6066, section 3."""

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        return {
            "op": "http", "host": self.host, "port": self.port, "path": self.path, "tls": self.tls, "method": self.method,
            "body": self.body or None, "headers": dict(self.headers), "certificate": self.certificate, "keep": self.keep,
            "timeout": self.timeout, "server_name": self.server_name,
        }  # fmt: skip

    def __str__(self) -> str:
        scheme = "https" if self.tls else "http"
        return f"{self.method} {scheme}://{host_and_port(self.host, self.port)}{self.path} {self.identity}"


@dataclass(frozen=True, slots=True)
class Trust:
    """A TLS handshake as a client that trusts one CA only, and insists that the certificate names the peer.

    ``Outcome.OPEN``: the certificate verified; ``Outcome.ABSENT``: the peer has no certificate that does.
    """

    host: str
    port: int
    ca: str = field(repr=False)
    """PEM."""
    words: str
    """Which CA, for the report: ``the cluster's CA``."""
    timeout: float = TIMEOUT
    server_name: str = ""
    """Whom the certificate has to name, "" for the host."""

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        return {
            "op": "trust",
            "host": self.host,
            "port": self.port,
            "ca": self.ca,
            "timeout": self.timeout,
            "server_name": self.server_name,
        }

    def __str__(self) -> str:
        named = f" for the name {self.server_name}" if self.server_name else ""
        return f"TLS handshake with {host_and_port(self.host, self.port)}, trusting {self.words} only{named}"


@dataclass(frozen=True, slots=True)
class Hello:
    """The beginning of a TLS handshake. ``Outcome.OPEN``: the peer takes the offer."""

    host: str
    port: int
    offer: Offer
    timeout: float = TIMEOUT

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        hello = base64.b64encode(self.offer.message()).decode()
        return {"op": "hello", "host": self.host, "port": self.port, "hello": hello, "timeout": self.timeout}

    def __str__(self) -> str:
        return f"TLS ClientHello to {host_and_port(self.host, self.port)}, offering {self.offer.name}"


@dataclass(frozen=True, slots=True)
class HelloHere:
    """The same, to a server that the agent itself starts, and that accepts every valid offer."""

    offer: Offer
    certificate: str = field(repr=False)
    """The server's certificate and RSA key, PEM."""
    timeout: float = TIMEOUT

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        hello = base64.b64encode(self.offer.message()).decode()
        return {"op": "hello-here", "hello": hello, "certificate": self.certificate, "timeout": self.timeout}

    def __str__(self) -> str:
        return f"TLS ClientHello to a server of our own that takes everything, offering {self.offer.name}"


@dataclass(frozen=True, slots=True)
class Resolve:
    """A question to the container's own resolver."""

    name: str = "kubernetes.default.svc"

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        return {"op": "resolve", "name": self.name}

    def __str__(self) -> str:
        return f"ask DNS for {self.name}"


@dataclass(frozen=True, slots=True)
class Tokens:
    """A search for readable service account tokens in every mount."""

    skip: tuple[str, ...] = ()
    """Mounts to leave out, such as those of the node's own files: the tokens in there are other pods'."""
    node: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Mounts of which not every file can be read, as they hold much of the node; and the places in each, where all are."""
    timeout: float = 12.0
    pieces: bool = False
    """Whether what else looks like a credential is wanted too: certificates, keys, kubeconfigs, also in base64."""

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        node = {place: list(known) for place, known in self.node.items()}
        wanted = {"pieces": True} if self.pieces else {}
        return {"op": "tokens", "skip": list(self.skip), "node": node, "timeout": self.timeout, **wanted}

    def __str__(self) -> str:
        but = f" but {', '.join(self.skip)}" if self.skip else ""
        known = "; of the node's in {} all where tokens are kept, and some others"
        node = known.format(", ".join(self.node)) if self.node else ""
        what = "credentials" if self.pieces else "service account tokens"
        return f"read every file in every mount{but}, looking for {what}{node}"


@dataclass(frozen=True, slots=True)
class Privileges:
    """A look at what the kernel lets the process do: user, capabilities, whether it can gain more, seccomp, AppArmor."""

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        return {"op": "privileges"}

    def __str__(self) -> str:
        return "read /proc/self/status and /proc/self/attr"


@dataclass(frozen=True, slots=True)
class SystemCalls:
    """Some system calls that change nothing, and that a container runtime's own seccomp filter refuses."""

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        return {"op": "system-calls"}

    def __str__(self) -> str:
        return "keyctl(KEYCTL_GET_KEYRING_ID), kcmp with itself, get_mempolicy"


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount of an empty tmpfs, in a mount namespace of its own."""

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        return {"op": "mount"}

    def __str__(self) -> str:
        return "unshare(CLONE_NEWNS) and mount a tmpfs there"


@dataclass(frozen=True, slots=True)
class Write:
    """A file that is created and removed, if the folder is on the root file system (else ``Outcome.ABSENT``)."""

    folder: str

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        return {"op": "write", "folder": self.folder}

    def __str__(self) -> str:
        return f"create and remove a file in {self.folder}"


@dataclass(frozen=True, slots=True)
class RawSocket:
    """A raw socket that is opened and closed; nothing is sent or heard."""

    family: Literal["packet", "icmp"]

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        return {"op": "raw-socket", "family": self.family}

    def __str__(self) -> str:
        return {"packet": "socket(AF_PACKET, SOCK_RAW)", "icmp": "socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)"}[self.family]


@dataclass(frozen=True, slots=True)
class HostFile:
    """A search for a file of the node, under each mount and under ``/proc/1/root``."""

    paths: tuple[str, ...]
    """Where it is on the node."""
    nonce: str = field(repr=False)

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        return {"op": "host-file", "paths": list(self.paths), "nonce": self.nonce}

    def __str__(self) -> str:
        return f"look for {', '.join(self.paths)} of the node in every mount and in /proc/1/root"


@dataclass(frozen=True, slots=True)
class HostSocket:
    """A search for a UNIX socket of the node, and a connection to it; nothing is sent."""

    paths: tuple[str, ...]
    timeout: float = TIMEOUT

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        return {"op": "host-socket", "paths": list(self.paths), "timeout": self.timeout}

    def __str__(self) -> str:
        return f"look for {', '.join(self.paths)} of the node in every mount and in /proc/1/root, and connect"


@dataclass(frozen=True, slots=True)
class Namespaces:
    """A look at the kernel namespaces that the process is in."""

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        return {"op": "namespaces"}

    def __str__(self) -> str:
        return "read the links in /proc/self/ns"


@dataclass(frozen=True, slots=True)
class WhichFile:
    """A look at which file stands at a path; it is not opened."""

    path: str

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        return {"op": "which-file", "path": self.path}

    def __str__(self) -> str:
        return f"stat {self.path}"


@dataclass(frozen=True, slots=True)
class Readable:
    """A look at which regular files below a folder can be opened (``Outcome.ABSENT``: none); nothing of them is read."""

    folder: str

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        return {"op": "readable", "folder": self.folder}

    def __str__(self) -> str:
        return f"open each file in {self.folder}, without reading"


@dataclass(frozen=True, slots=True)
class Writable:
    """A question to the kernel whether a file could be written (``Outcome.ABSENT``: no); it is not opened."""

    path: str

    def specification(self) -> dict[str, JSON]:
        """See :class:`Task`."""
        return {"op": "writable", "path": self.path}

    def __str__(self) -> str:
        return f"access({self.path}, W_OK)"
