"""The agent opens the connections: one file of standard-library Python, sent over exec, run where an attacker would stand.

It reads a length line and a JSON specification from standard input, does all tasks at once with a bounded number of
threads, and writes one JSON line for each task when it ends, then a closing line that repeats the run's nonce. Without
that closing line nothing it wrote may be believed. It never judges, never exits non-zero on purpose, and imports
nothing that a minimal Python lacks. It must run on Python 3.9 and later.
"""

from __future__ import annotations

import base64
import ctypes
import errno
import http.client
import json
import os
import re
import socket
import ssl
import stat
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor, as_completed
from fnmatch import fnmatch
from typing import Any, BinaryIO, Callable, Dict, Iterable, Iterator, List, Optional, Set, Tuple

Json = Dict[str, Any]

UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM, errno.ENETDOWN, errno.EHOSTDOWN}
NO_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}
JWT = re.compile(rb"(?=(eyJ[A-Za-z0-9_-]{1,1024}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+))")
FORMS = (
    ("token", JWT, True),
    ("certificate", re.compile(rb"-----BEGIN CERTIFICATE-----.{1,20000}?-----END CERTIFICATE-----", re.DOTALL), True),
    ("key", re.compile(rb"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----.{1,20000}?-----END [A-Z ]{0,20}PRIVATE KEY-----", re.DOTALL), True),
    ("bootstrap token", re.compile(rb"(?<![\w.-])[a-z0-9]{6}\.[a-z0-9]{16}(?![\w.-])"), True),
    ("kubeconfig", re.compile(rb"\A(?=.{0,65000}\Z)(?=.*\bclusters\b)(?=.*\busers\b)(?=.*\bcontexts\b).*kind[\"']?:\s*[\"']?Config\b.*", re.DOTALL), True),
    ("password of a registry", re.compile(rb"\"auths?\"\s*:\s*\"[\w+/]{4,}={0,2}\""), False),
    ("access key of AWS", re.compile(rb"(?<![A-Z0-9])A(?:KI|SI)A[A-Z2-7]{16}(?![A-Z0-9])"), False),
    ("key of a Google account", re.compile(rb"\"type\"\s*:\s*\"service_account\""), False),
)  # fmt: skip
"""Forms of credentials, and whether the text goes back to the caller, as only what the API server may take is shown to it."""
TOKEN_FILE, TOKEN_FILE_MAX = re.compile(rb"\btokenFile[\"']?\s*:\s*[\"']?([^\s\"',}]+)"), 4096
CALLS = {
    "x86_64": {"keyctl": 250, "kcmp": 312, "get_mempolicy": 239},
    "aarch64": {"keyctl": 219, "kcmp": 272, "get_mempolicy": 236},
}
"""Numbers of system calls that need no right and change nothing here, and that runtimes' own filters refuse."""
KEYCTL_GET_KEYRING_ID, OF_THE_PROCESS = 0, -2
BASE64 = re.compile(rb"[\w+/-]{24,}(?:\r?\n[ \t]*[\w+/-]+)*={0,2}")
PACKED_MAX = 1 << 20
PIECES_MAX = 500
APPARMOR = "/sys/module/apparmor/parameters/enabled"
PROFILES = ("/proc/self/attr/apparmor/current", "/proc/self/attr/current")
FILES_MAX = 2000
FILE_MAX = 8 << 20
BYTES_MAX = 32 << 20
NODE_FILES_MAX = 20000
NODE_BYTES_MAX = 128 << 20
HEARD_MAX = 4096
DENIALS = {errno.EACCES, errno.EPERM, errno.EROFS}
GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
CLONE_NEWNS = 0x20000
ROOT_SERVERS = b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"
"""All of a question for the root's name servers but the two bytes of its number."""
MS_PRIVATE, MS_REC = 1 << 18, 1 << 14
PSEUDO = {"proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "bpf", "debugfs", "tracefs", "securityfs", "pstore"}


def failed(error: BaseException) -> Json:
    """The outcome of a network error: the network's answer is told apart from a task that broke."""
    if isinstance(error, (socket.timeout, TimeoutError)):
        return {"outcome": "no-answer", "detail": "timed out"}
    if isinstance(error, ConnectionRefusedError):
        return {"outcome": "refused", "detail": "ECONNREFUSED"}
    if isinstance(error, (ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected, ssl.SSLEOFError)):
        return {"outcome": "closed", "detail": type(error).__name__}
    if isinstance(error, ssl.SSLZeroReturnError):
        return {"outcome": "closed", "detail": "TLS close notify"}
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
        if reason in NO_TLS:
            return {"outcome": "closed", "detail": "the peer does not speak TLS"}
        return {"outcome": "tls-alert" if "ALERT" in reason else "error", "detail": reason}
    if isinstance(error, OSError) and error.errno in UNREACHABLE:
        return {"outcome": "unreachable", "detail": errno.errorcode.get(error.errno, str(error.errno))}
    return {"outcome": "error", "detail": "%s: %s" % (type(error).__name__, error)}


def connected(task: Json) -> socket.socket:
    return socket.create_connection((task["host"], task["port"]), timeout=task["timeout"])


def tcp(task: Json) -> Json:
    """Connect; with "expect", read until the peer has sent it: proof of who answered."""
    with connected(task) as sock:
        expect = task.get("expect", "")
        if expect:
            heard, end = b"", time.monotonic() + task["timeout"]
            while expect.encode() not in heard:
                if len(heard) >= HEARD_MAX or (heard and time.monotonic() > end):
                    return {"outcome": "error", "detail": "connected, but somebody else answered"}
                chunk = sock.recv(1024)
                if not chunk:
                    return {"outcome": "closed", "detail": "connected, but the expected answer did not come"}
                heard += chunk
    return {"outcome": "open"}


def udp(task: Json) -> Json:
    """Send a nonce from a fresh port and wait for its echo; sent again twice, as datagrams may be lost."""
    nonce, is_any = os.urandom(8), task.get("any_answer")
    family, _, _, _, address = socket.getaddrinfo(task["host"], task["port"], type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        sock.settimeout(task["timeout"] / 3)
        for _ in range(3):
            sock.send(nonce)
            if is_any:
                sock.send(os.urandom(2) + ROOT_SERVERS)
            try:
                heard = sock.recv(64)
            except (socket.timeout, TimeoutError):
                continue
            if is_any or heard == nonce:
                return {"outcome": "open"}
            return {"outcome": "error", "detail": "somebody else answered"}
    return {"outcome": "no-answer", "detail": "no answer" if is_any else "no echo"}


def resolve(task: Json) -> Json:
    """Ask the container's resolver for a name."""
    try:
        found = socket.getaddrinfo(task["name"], 443, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        outcome = {socket.EAI_NONAME: "absent", socket.EAI_AGAIN: "no-answer"}.get(error.errno or 0, "error")
        return {"outcome": outcome, "detail": str(error)}
    return {"outcome": "done", "detail": str(found[0][4][0])}


def wrapped(sock: socket.socket, task: Json) -> ssl.SSLSocket:
    """A TLS connection that verifies nothing: the question is whether the *peer* lets us in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if task.get("certificate"):
        show_certificate(context, task["certificate"])
    return context.wrap_socket(sock, server_hostname=task.get("server_name") or task["host"])


def show_certificate(context: ssl.SSLContext, pem: str) -> None:
    """In memory: a container's root file system may be read-only, and a key has no business on a disk."""
    with os.fdopen(os.memfd_create("certificate"), "w") as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain("/proc/self/fd/%d" % file.fileno())


def trust(task: Json) -> Json:
    """A TLS handshake as a client that trusts one CA and insists on the peer's name, and whether the peer convinces it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=task["ca"])
    with connected(task) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=task.get("server_name") or task["host"]):
                return {"outcome": "open", "detail": "its certificate verifies"}
        except ssl.SSLCertVerificationError as error:
            return {"outcome": "absent", "detail": "its certificate does not verify: %s" % error.verify_message}


def hello(task: Json) -> Json:
    """Send a ClientHello; the first record of the answer tells whether the peer takes the offer."""
    with connected(task) as sock:
        sock.sendall(base64.b64decode(task["hello"]))
        head = exactly(sock, 5)
        if head[:1] not in (b"\x15", b"\x16"):
            return {"outcome": "closed", "detail": "the peer does not speak TLS" if head else "without an answer"}
        body = exactly(sock, int.from_bytes(head[3:5], "big"))
    if head[:1] == b"\x15":
        return {"outcome": "tls-alert", "detail": "alert %d" % body[1]}
    if body[:1] != b"\x02":
        return {"outcome": "error", "detail": "a handshake that does not begin with a ServerHello"}
    suite = body[39 + body[38] :][:2].hex()
    return {"outcome": "open", "detail": "taken, with cipher suite 0x%s" % suite}


def exactly(sock: socket.socket, size: int) -> bytes:
    """Exactly so many bytes, or b"" if the peer ends before."""
    heard = b""
    while len(heard) < size:
        chunk = sock.recv(size - len(heard))
        if not chunk:
            return b""
        heard += chunk
    return heard


def hello_here(task: Json) -> Json:
    """Send the ClientHello to a server of our own, which accepts every offer that a server can accept at all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    show_certificate(context, task["certificate"])
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)

    def serve() -> None:
        with listener, listener.accept()[0] as peer:
            try:
                context.wrap_socket(peer, server_side=True).close()
            except (OSError, ValueError):
                return  # nobody means to bring the handshake to its end

    threading.Thread(target=serve, daemon=True).start()
    return hello({**task, "host": "127.0.0.1", "port": listener.getsockname()[1]})


def http_request(task: Json) -> Json:
    """One HTTP request, over TLS or not; the status is what counts, the body is cut to "keep" bytes."""
    with connected(task) as plain:
        sock = wrapped(plain, task) if task.get("tls") else plain
        with sock:
            connection = http.client.HTTPConnection(task["host"], task["port"], timeout=task["timeout"])
            connection.sock = sock
            try:
                # With TLS 1.3 a refused client certificate shows on the first read only.
                connection.request(
                    task.get("method", "GET"), task["path"], body=task.get("body"), headers=task.get("headers", {})
                )
                answer = connection.getresponse()
            except http.client.HTTPException as error:
                if isinstance(error, http.client.RemoteDisconnected):
                    return failed(error)
                return {"outcome": "closed", "detail": "no HTTP: %s" % type(error).__name__}
            body = beginning(answer, task.get("keep", 0), time.monotonic() + task["timeout"])
            location = answer.getheader("Location") or ""
            return {
                "outcome": "http",
                "status": answer.status,
                "body": body.decode("utf-8", "replace"),
                "location": location,
            }


def beginning(answer: http.client.HTTPResponse, size: int, end: float) -> bytes:
    """The first bytes of a body, as many as come. A body that stalls is no error: the status is known already."""
    body = b""
    try:
        while len(body) < size and time.monotonic() < end:
            chunk = answer.read1(size - len(body))
            if not chunk:
                break
            body += chunk
    except (OSError, http.client.HTTPException):
        return body
    return body


def claims(token: str) -> Optional[Json]:
    """The claims of a service account's JWT, or None where it is none. The signature is not looked at."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    subject = found.get("sub", "") if isinstance(found, dict) else ""
    return found if str(subject).startswith("system:serviceaccount:") else None


def unescaped(point: str) -> str:
    """A path, out of how mountinfo writes it: blanks and backslashes in octal, all else as it is."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), point)


def mounts() -> List[str]:
    """Mount points that can hold a token; of the root file system only the usual folders."""
    places = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            point, kind = left.split()[4], right.split()[0]
            if kind not in PSEUDO and point not in ("/", "/dev", "/dev/termination-log"):
                places.append(unescaped(point))
    return sorted(set(places + ["/var/run/secrets", "/run/secrets"]))


def pseudo() -> Set[str]:
    """Mount points of the kernel's own file systems, wherever they are: nobody keeps anything there.

    Below a tmpfs too, as control groups of version 1 are.
    """
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        parts = [line.partition(" - ") for line in file]
    return {unescaped(left.split()[4]) for left, _, right in parts if right.split()[0] in PSEUDO}


def files(places: List[str], shut: Optional[List[str]] = None, leave: Iterable[str] = ()) -> Iterator[str]:
    """Every file below the given mount points; a mount point may be a file itself.

    Args:
        shut: gets each folder that may not be read.
        leave: folders that are left out, with all below them.
    """

    def refused(error: OSError) -> None:
        if shut is not None and error.errno in DENIALS:
            shut.append(str(error.filename))

    left_out = set(leave)
    for place in places:
        if not os.path.isdir(place):
            yield place
        for folder, below, names in os.walk(place, onerror=refused):
            below[:] = [name for name in below if os.path.join(folder, name) not in left_out]
            for name in names:
                yield os.path.join(folder, name)


def paths_matching(pattern: str, shut: List[str]) -> List[str]:
    """The paths that a pattern stands for; "*" stands for any name, or for a part of one.

    Args:
        shut: gets each folder that could not be looked into, so that nobody knows what it holds.
    """
    found = ["/"]
    for part in pattern.strip("/").split("/"):
        found = [path for folder in found for path in in_folder(folder, part, shut)]
    return found


def in_folder(folder: str, part: str, shut: List[str]) -> List[str]:
    """What a folder holds under that name, or under such names."""
    try:
        if "*" in part:
            return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if fnmatch(name, part)]
        os.lstat(os.path.join(folder, part))
    except OSError as error:
        if error.errno in DENIALS:
            shut.append(folder)
        return []
    return [os.path.join(folder, part)]


class TokenSearch:
    """Service account tokens in files, until so many files or bytes were read, or time is up.

    A token counts whatever surrounds it: a kubeconfig and a list of variables hold tokens too.
    """

    def __init__(self, end: float, *, pieces: bool = False) -> None:
        self.end = end
        self.found: Dict[str, str] = {}
        self.pieces: Optional[Dict[Tuple[str, ...], Json]] = {} if pieces else None
        """What else looks like a credential, where that is asked for; what is long, each once."""
        self.read = 0
        self.shut: List[str] = []
        """Files and folders that may not be read."""
        self.unread = 0

    def look(self, paths: Iterable[str], count: int, size: int) -> bool:
        """Read these files. False if not all of them were: they were too many, too large, or too slow."""
        left, whole = size, True
        for path in paths:
            count -= 1
            if count < 0 or time.monotonic() > self.end:
                return False
            try:
                told = os.stat(path)
                if not stat.S_ISREG(told.st_mode):
                    continue
                if told.st_size > min(FILE_MAX, left):
                    whole = False
                    continue
                with open(path, mode="rb") as file:
                    text = file.read(FILE_MAX)
            except OSError as error:
                self.unread += error.errno not in GONE
                if error.errno in DENIALS:
                    self.shut.append(path)
                continue
            self.read += 1
            left -= len(text)
            whole = self.keep(text, path) and whole
        return whole

    def keep(self, text: bytes, path: str) -> bool:
        """Take out of a file's text what is looked for. False if that is too much."""
        for match in JWT.finditer(text):
            token = match.group(1).decode()
            if token not in self.found and claims(token):
                self.found[token] = path
        if self.pieces is None:
            return True
        for one in pieces(text, path):
            self.pieces.setdefault((one["text"],) if len(one["text"]) > 64 else (path, *one.values()), one)
            for beside in token_files(text, path) if (one["form"], one["packed"]) == ("kubeconfig", "") else ():
                self.pieces.setdefault((path, *beside.values()), beside)
        return len(self.pieces) <= PIECES_MAX


def token_files(text: bytes, path: str) -> Iterator[Json]:
    """The files of one short line that a kubeconfig says its tokens are in: they have no form by which they are found."""
    for each in TOKEN_FILE.findall(text):
        name = each.decode("utf-8", "replace")
        there = os.path.join(os.path.dirname(path), name)
        try:
            if not stat.S_ISREG(os.stat(there).st_mode):
                continue
            with open(there, mode="rb") as file:
                held = file.read(TOKEN_FILE_MAX + 1).strip()
        except (OSError, ValueError):
            continue
        if 0 < len(held) <= TOKEN_FILE_MAX and b"\n" not in held:
            yield {"form": "token file", "packed": name, "text": held.decode("utf-8", "replace"), "place": path}


def pieces(text: bytes, place: str) -> List[Json]:
    """What in a text looks like a credential, also in base64 and twice in base64: its form, how it is packed, and where.

    Two keys of a Secret are a bootstrap token, by their names: as files, or as variables, which may have a prefix.
    """
    plain = text.strip().decode("utf-8", "replace")
    parts = [
        ("", each, plain) for each in ("token-id", "token-secret") if place.endswith(each) and len(plain) in (6, 16)
    ]
    packed = looks_like(text, 2 if len(text) <= PACKED_MAX else 0)
    return [{"form": form, "packed": how, "text": what, "place": place} for how, form, what in (*parts, *packed)]


def looks_like(text: bytes, depth: int, how: str = "") -> Iterator[Tuple[str, str, str]]:
    """How it is packed, what it looks like, and its text, where the caller is to have that."""
    for form, pattern, is_shown in FORMS:
        for match in pattern.finditer(text):
            yield how, form, match.group(pattern.groups).decode("utf-8", "replace") if is_shown else ""
    for run in BASE64.findall(text) if depth else ():
        joined = b"".join(run.split()).rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
        whole = joined[: len(joined) - (len(joined) % 4 == 1)]
        inner = base64.b64decode(whole + b"=" * (-len(whole) % 4))
        yield from looks_like(inner, depth - 1, (how + " in base64").strip())


def tokens(task: Json) -> Json:
    """Find every readable service account token in any mount, but in those that are to be skipped.

    Of the node's own files, which may be millions, those are all read that are at given places; of the others some, and it
    is told if not all. If of anything else not all was read, the outcome is an error, with what was found in the rest.

    The token itself goes back over the exec's own encrypted stream and nowhere else: the caller asks the API server
    whether the token is still valid.
    """
    skipped, nodes_own = tuple(task.get("skip", [])), dict(task.get("node", {}))
    search = TokenSearch(time.monotonic() + task.get("timeout", 60), pieces=task.get("pieces", False))
    kept = [place for place in mounts() if not within(place, skipped)]
    kernel = pseudo()
    own = [place for place in kept if not within(place, tuple(nodes_own))]
    whole = search.look(files(own, search.shut, kernel), FILES_MAX, BYTES_MAX)
    known = [path for patterns in nodes_own.values() for each in patterns for path in paths_matching(each, search.shut)]
    whole = search.look(files(known, search.shut), NODE_FILES_MAX, NODE_BYTES_MAX) and whole
    leave = [*kernel, *known]
    rest = [place for place in nodes_own if search.look(files([place], None, leave), FILES_MAX, BYTES_MAX // 4)]
    result = [{"path": path, "token": token, "claims": claims(token)} for token, path in search.found.items()]
    detail = "%d files read, %d unreadable" % (search.read, search.unread)
    partly = sorted(set(nodes_own) - set(rest))
    if partly:
        detail += "; of the node's files in %s not all" % ", ".join(partly)
    told = {"tokens": result, "facts": {"denied": len(search.shut)}, "partly": partly}
    if search.pieces is not None:
        told["pieces"] = list(search.pieces.values())[:PIECES_MAX]
    if not whole:
        return {"outcome": "error", "detail": detail + ", not all: too many, too large or too slow", **told}
    return {"outcome": "done" if result else "absent", "detail": detail, **told}


def within(place: str, folders: Tuple[str, ...]) -> bool:
    """Whether a place is one of the folders, or below one."""
    return any((place + "/").startswith(each.rstrip("/") + "/") for each in folders)


def denied(error: OSError) -> Json:
    """The kernel's own refusal; any other error means that the task broke."""
    if error.errno in DENIALS:
        return {"outcome": "denied", "detail": errno.errorcode[error.errno]}
    return {"outcome": "error", "detail": "%s: %s" % (type(error).__name__, error)}


def privileges(_task: Json) -> Json:
    """Whom the kernel takes this process for, and what it may do."""
    with open("/proc/self/status", encoding="utf-8") as file:
        status = dict(line.split(":", 1) for line in file)
    profile = apparmor()
    facts = {
        "uid": int(status["Uid"].split()[1]),
        "effective": int(status["CapEff"], 16),
        "bounding": int(status["CapBnd"], 16),
        "no_new_privileges": status["NoNewPrivs"].strip() == "1",
        "seccomp": int(status["Seccomp"]),
    }
    words = "uid %(uid)d, CapEff %(effective)x, CapBnd %(bounding)x, NoNewPrivs %(no_new_privileges)d" % facts
    words += ", Seccomp: %(seccomp)d" % facts
    if profile is not None:
        words += ", AppArmor: %s" % (profile or "unreadable")
    return {"outcome": "done", "detail": words, "facts": {**facts, "apparmor": profile}}


def apparmor() -> Optional[str]:
    """The AppArmor profile of this process, as the kernel writes it; None without AppArmor, "" where it can't be read."""
    try:
        with open(APPARMOR, encoding="utf-8") as file:
            if file.read().strip() != "Y":
                return None
        # The other file is that of the security module that comes first, for kernels that have none of AppArmor's own.
        where = next((path for path in PROFILES if os.path.exists(path)), PROFILES[-1])
        with open(where, encoding="utf-8", errors="replace") as file:
            return file.read().strip(" \n\0")
    except OSError as error:
        return None if error.errno in GONE and error.filename == APPARMOR else ""


def system_calls(_task: Json) -> Json:
    """Make some system calls that change nothing, and tell what became of each: "made", an error's name, or "killed"."""
    numbers = CALLS.get(os.uname().machine)
    if numbers is None:
        return {"outcome": "error", "detail": "no numbers of system calls are known for a %s" % os.uname().machine}
    me = os.getpid()
    arguments = {
        "keyctl": (KEYCTL_GET_KEYRING_ID, OF_THE_PROCESS, 0),
        "kcmp": (me, me, 0, 0, 0),
        "get_mempolicy": (0,) * 5,
    }
    found = {name: called(number, *arguments[name]) for name, number in numbers.items()}
    return {"outcome": "done", "detail": ", ".join("%s: %s" % each for each in found.items()), "facts": found}


def called(number: int, *arguments: int) -> str:
    """Make a system call in a child, as a filter may kill whoever makes it."""
    libc = ctypes.CDLL(None, use_errno=True)
    child = os.fork()
    if child == 0:
        ctypes.set_errno(0)
        failed = libc.syscall(*map(ctypes.c_long, (number, *arguments))) == -1
        os._exit(ctypes.get_errno() if failed else 0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return "killed" if code < 0 else errno.errorcode.get(code, "made")


def mount(_task: Json) -> Json:
    """Mount an empty tmpfs in a child process's own mount namespace, which ends with the child."""
    libc = ctypes.CDLL(None, use_errno=True)
    child = os.fork()
    if child == 0:
        # Private first: what is mounted here must not propagate to anywhere else.
        done = (
            libc.unshare(CLONE_NEWNS) == 0
            and libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0
            and libc.mount(b"k8ssec", b"/", b"tmpfs", 0, None) == 0
        )
        os._exit(0 if done else ctypes.get_errno() or 255)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 0:
        return {"outcome": "done", "detail": "mounted"}
    return denied(OSError(code, os.strerror(code)))


def write(task: Json) -> Json:
    """Create a file and remove it, in a folder that is on the root file system."""
    folder = task["folder"]
    if not os.path.isdir(folder) or os.stat(folder).st_dev != os.stat("/").st_dev:
        return {"outcome": "absent", "detail": "not on the root file system"}
    path = os.path.join(folder, ".k8ssec-%s" % os.urandom(6).hex())
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.unlink(path)
    except OSError as error:
        return denied(error)
    return {"outcome": "done", "detail": "created and removed"}


def raw_socket(task: Json) -> Json:
    """Open a raw socket and close it; nothing is sent, and with protocol 0 a packet socket hears nothing."""
    kinds = {"packet": (socket.AF_PACKET, 0), "icmp": (socket.AF_INET, socket.IPPROTO_ICMP)}
    family, protocol = kinds[task["family"]]
    try:
        socket.socket(family, socket.SOCK_RAW, protocol).close()
    except OSError as error:
        return denied(error)
    return {"outcome": "done", "detail": "opened"}


def seen_through_mounts(path: str) -> Iterator[str]:
    """Every path at which a file of the node would be seen, whichever folder above it is mounted, and wherever."""
    parts = path.strip("/").split("/")
    tails = ["/".join(parts[start:]) for start in range(len(parts))]
    for place in mounts() + ["/", "/proc/1/root"]:
        for tail in tails:
            yield os.path.join(place, tail)


def host_file(task: Json) -> Json:
    """Look for a file that was planted on the node: one of the given paths that holds the nonce.

    Of several places, one whose folder could be written is reported, if there is one.
    """
    places = sorted({place for path in task["paths"] for place in seen_through_mounts(path)})
    found = [place for place in places if begins_with(place, task["nonce"])]
    if not found:
        return in_none_of(places)
    writable = [place for place in found if os.access(os.path.dirname(place), os.W_OK)]
    return {"outcome": "done", "detail": (writable or found)[0], "facts": {"writable": bool(writable)}}


def in_none_of(places: List[str]) -> Json:
    """That nothing was found, and how many of the places in mounts may not be looked at by whom this process is.

    Its root file system is no workload's, and another user's process is shut to whoever is not root.
    """
    mounted = tuple(mounts())
    shut = [place for place in places if within(place, mounted) and is_shut(place)]
    return {"outcome": "absent", "detail": "in none of %d places" % len(places), "facts": {"denied": len(shut)}}


def is_shut(path: str) -> bool:
    """Whether it may not be opened, be it there or not."""
    try:
        os.stat(path)
    except OSError as error:
        return error.errno in DENIALS
    return not os.access(path, os.R_OK)


def begins_with(path: str, text: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(len(text)) == text
    except OSError:
        return False


def readable(task: Json) -> Json:
    """How many files below a folder can be opened for reading; nothing of them is read, and no device is opened."""
    looked = opened = 0
    shut: List[str] = []
    for path in files([task["folder"]], shut):
        if not os.path.isfile(path):
            continue
        looked += 1
        if looked > FILES_MAX:
            return {"outcome": "error", "detail": "more than %d files" % FILES_MAX}
        try:
            os.close(os.open(path, os.O_RDONLY))
            opened += 1
        except OSError:
            pass
    words = "%d of %d files can be read" % (opened, looked)
    return {
        "outcome": "done" if opened else "absent",
        "detail": words,
        "facts": {"denied": looked - opened + len(shut)},
    }


def writable(task: Json) -> Json:
    """Whether a file could be written, as access(2) tells; it is not opened."""
    if os.access(task["path"], os.W_OK):
        return {"outcome": "done", "detail": "access(W_OK) says yes"}
    shut = os.path.exists(task["path"])
    return {"outcome": "absent", "detail": "access(W_OK) says no", "facts": {"denied": int(shut)}}


def which_file(task: Json) -> Json:
    """Which file stands at a path: device and inode are the same wherever it is mounted."""
    try:
        found = os.stat(task["path"])
    except OSError as error:
        return denied(error)
    return {"outcome": "done", "facts": {"file": "%d:%d" % (found.st_dev, found.st_ino)}}


def host_socket(task: Json) -> Json:
    """Look for a socket of the node's container runtime, and connect to it; nothing is sent."""
    places = sorted({place for path in task["paths"] for place in seen_through_mounts(path)})
    seen = [place for place in places if os.path.exists(place)]
    for place in seen:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(task["timeout"])
            try:
                sock.connect(place)
            except OSError as error:
                return {**denied(error), "detail": "%s: %s" % (place, error)}
            return {"outcome": "done", "detail": place}
    return in_none_of(places)


def namespaces(_task: Json) -> Json:
    """The kernel namespaces that this process is in."""
    facts = {kind: os.readlink("/proc/self/ns/%s" % kind) for kind in ("ipc", "mnt", "net", "pid")}
    return {"outcome": "done", "detail": ", ".join(sorted(facts.values())), "facts": facts}


OPERATIONS: Dict[str, Callable[[Json], Json]] = {
    "tcp": tcp,
    "udp": udp,
    "http": http_request,
    "trust": trust,
    "hello": hello,
    "hello-here": hello_here,
    "tokens": tokens,
    "resolve": resolve,
    "privileges": privileges,
    "mount": mount,
    "write": write,
    "raw-socket": raw_socket,
    "system-calls": system_calls,
    "host-file": host_file,
    "host-socket": host_socket,
    "namespaces": namespaces,
    "which-file": which_file,
    "readable": readable,
    "writable": writable,
}


def perform(task: Json) -> Json:
    """Do one task and say how long it took; whatever goes wrong is an answer, never a crash of the others."""
    started = time.monotonic()
    try:
        result = OPERATIONS[task["op"]](task)
    except Exception as error:  # noqa: BLE001 - the last resort: it becomes outcome "error", which proves nothing
        result = failed(error)
    result["id"] = task["id"]
    result["ms"] = round((time.monotonic() - started) * 1000, 3)
    return result


def speak(line: Json) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def do_tasks(specification: Json) -> None:
    """Do all tasks of one specification, and tell each answer as it comes."""
    tasks = specification["tasks"]
    with ThreadPoolExecutor(max_workers=max(1, min(specification.get("workers", 64), len(tasks)))) as pool:
        for future in as_completed([pool.submit(perform, task) for task in tasks]):
            speak(future.result())
    speak({"end": specification["nonce"], "count": len(tasks)})


def in_child(specification: Json) -> int:
    """Do them in a process of their own, which has nothing of those before, and return its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            do_tasks(specification)
            code = 0
        except BaseException:  # noqa: BLE001 - whatever it is, this copy of the reader must not go on
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def answer_all(stream: BinaryIO) -> None:
    """Do what is asked; a specification that says "stay" is followed by others, until the stream ends."""
    while True:
        size = stream.readline()
        if not size:
            return
        specification = json.loads(stream.read(int(size)))
        if not specification.get("stay"):
            do_tasks(specification)
            return
        speak({"left": specification["nonce"], "code": in_child(specification)})


if __name__ == "__main__":
    answer_all(sys.stdin.buffer)
