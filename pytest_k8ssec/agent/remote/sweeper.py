"""Connects to many addresses from one place: sent over exec as the agent is, and believed by the same rule.

One thread, sockets that don't block: 1,000 targets cost one small process. It reads a length line and a JSON
specification from standard input. A *sweep* tries each target once. A target that has not answered after half of its
time gets a second try beside the first, and both tries have their full time. For each target that is done it writes one
JSON line, ``[number, outcome, milliseconds, detail]``. A *watch* connects to one target every few milliseconds until
the target's answer has changed; it writes ``[milliseconds at start, outcome, milliseconds at end]``. Both end with a
line that repeats the nonce; without that line nothing may be believed. It never judges. Standard library, Python 3.9
and later; what the agent imports beside it would cost more than the sweep itself.
"""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import sys
import time
from collections import deque, namedtuple

TYPE_CHECKING = False  # what typing has is for readers: it costs each start four milliseconds
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Callable, Deque, Dict, List, Optional, Set, Tuple

NO_ROUTE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM, errno.ENETDOWN, errno.EHOSTDOWN}
LOCAL = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EADDRINUSE, errno.EAGAIN}
"""The machine ran short of something. The target is tried again a little later, with fewer at once."""
SHORTAGES = 40
"""How often one target may meet such a shortage before its outcome is an error."""
PAUSE = 0.05
FIRST_WINDOW = 64
SCTP = getattr(socket, "IPPROTO_SCTP", 132)
SOCKET_KINDS = {"TCP": (socket.SOCK_STREAM, 0), "UDP": (socket.SOCK_DGRAM, 0), "SCTP": (socket.SOCK_STREAM, SCTP)}
DNS_PORT = 53
DNS_QUERY = b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"
"""All of a question for the root's name servers but the two bytes of its number."""


def outcome(code: int) -> str:
    """What an error of a connection says of the target."""
    if code == 0:
        return "open"
    if code == errno.ECONNREFUSED:
        return "refused"
    if code == errno.ETIMEDOUT:
        return "no-answer"
    return "unreachable" if code in NO_ROUTE else "error"


Try = namedtuple("Try", "number attempt shortages")  # noqa: PYI024 - as above
"""One target that is to be tried."""
Flight = namedtuple("Flight", "sock aim started")  # noqa: PYI024 - as above
"""One connection under way."""


def dial(address: str, port: int, protocol: str) -> Tuple[Optional[socket.socket], int]:
    """Begin a connection: the socket where it is under way, else the error that ended it."""
    kind, number = SOCKET_KINDS[protocol]
    try:
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind, number)
    except OSError as error:
        return None, error.errno or errno.EIO
    try:
        sock.setblocking(False)
        code = sock.connect_ex((address, port))
        if protocol == "UDP" and code == 0:
            sock.send(os.urandom(2) + DNS_QUERY if port == DNS_PORT else os.urandom(8))
    except OSError as error:
        code = error.errno or errno.EIO
    if code in (0, errno.EINPROGRESS):
        return sock, 0
    sock.close()
    return None, code


def landed(sock: socket.socket, protocol: str) -> int:
    """The error with which a connection came to its end, 0 for none."""
    if protocol != "UDP":
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    try:
        sock.recv(64)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


class Sweep:
    """All targets from here: as many at once as go well, at most so many a second."""

    def __init__(self, specification: Dict[str, Any], say: Callable[[Any], None]) -> None:
        self.targets: List[Tuple[str, int, str]] = [tuple(one) for one in specification["targets"]]
        self.timeout: float = specification["timeout"]
        self.attempts: int = specification["attempts"]
        self.sockets: int = specification["sockets"]
        self.rate: float = specification["rate"]
        self.say = say
        self.window = float(min(FIRST_WINDOW, self.sockets))
        self.poll = select.poll()
        self.flying: Dict[int, Flight] = {}
        self.oldest: Deque[Tuple[float, int]] = deque()
        self.silent: Deque[Tuple[float, int]] = deque()
        """Those that get another try beside them, if they stay so for half of their time."""
        self.tries = bytearray(len(self.targets))
        self.told = bytearray(len(self.targets))
        self.waiting: Deque[Try] = deque()
        self.next = 0.0
        self.names = resolved({host for host, _, _ in self.targets}, specification["resolve"])

    def run(self) -> None:
        for number, (host, _, _) in enumerate(self.targets):
            address, trouble = self.names[host]
            if address:
                self.again(number, 1)
            else:
                self.say([number, "error", None, trouble])
        while self.waiting or self.flying:
            self.start()
            self.finish()
            self.expire()

    def again(self, number: int, attempt: int) -> None:
        """Have a target tried for the first, or once more; each attempt is made once."""
        if attempt <= self.attempts and self.tries[number] < attempt:
            self.tries[number] = attempt
            self.waiting.append(Try(number, attempt, 0))

    def start(self) -> None:
        """Begin as many as the window and the rate let through."""
        now = time.monotonic()
        while self.waiting and len(self.flying) < self.window and now >= self.next:
            aim = self.waiting.popleft()
            if self.told[aim.number]:
                continue
            # What was not used up to now is lost: after a pause there is no burst.
            self.next = max(self.next, now - PAUSE) + 1 / self.rate
            host, port, protocol = self.targets[aim.number]
            started = time.monotonic()
            sock, code = dial(self.names[host][0], port, protocol)
            if sock is None:
                self.ended(aim, code, started)
                continue
            self.flying[sock.fileno()] = Flight(sock, aim, started)
            self.oldest.append((started, sock.fileno()))
            self.silent.append((started, sock.fileno()))
            self.poll.register(sock, select.POLLIN if protocol == "UDP" else select.POLLOUT)

    def finish(self) -> None:
        """Take in what has landed, or wait until something may."""
        now = time.monotonic()
        ends = [self.oldest[0][0] + self.timeout] if self.oldest else []
        ends += [self.silent[0][0] + self.timeout / 2] if self.silent else []
        if self.waiting and len(self.flying) < self.window:
            ends.append(self.next)
        patience = max(0.0, min(ends) - now) if ends else 0.0
        for number, _ in self.poll.poll(patience * 1000 + 0.5):
            if number not in self.flying:
                continue  # another try of the same target has just answered
            flight = self.land(number)
            self.ended(flight.aim, landed(flight.sock, self.targets[flight.aim.number][2]), flight.started)
            flight.sock.close()

    def expire(self) -> None:
        """Try again beside what is silent for long, and give up what has not answered in time."""
        now = time.monotonic()
        while self.silent and (self.silent[0][0] + self.timeout / 2 <= now or self.gone(self.silent[0])):
            started, number = self.silent.popleft()
            if not self.gone((started, number)):
                aim = self.flying[number].aim
                self.again(aim.number, aim.attempt + 1)
        while self.oldest and (self.oldest[0][0] + self.timeout <= now or self.gone(self.oldest[0])):
            started, number = self.oldest.popleft()
            if not self.gone((started, number)):
                flight = self.land(number)
                flight.sock.close()
                self.ended(flight.aim, errno.ETIMEDOUT, started)

    def gone(self, entry: Tuple[float, int]) -> bool:
        started, number = entry
        return number not in self.flying or self.flying[number].started != started

    def land(self, number: int) -> Flight:
        self.poll.unregister(number)
        return self.flying.pop(number)

    def ended(self, aim: Try, code: int, started: float) -> None:
        """Say what came of one, or try it again."""
        if code in LOCAL and aim.shortages < SHORTAGES:
            self.window = max(1.0, self.window / 2)
            self.next = time.monotonic() + PAUSE
            self.waiting.append(aim._replace(shortages=aim.shortages + 1))
            return
        answer = outcome(code)
        # Silence is the network's answer, not a shortage: had it to slow the sweep down, a wall would make it crawl.
        self.window = min(float(self.sockets), self.window + 1)
        if answer == "no-answer" and aim.attempt < self.attempts:
            # A packet may be lost, and a listener's queue full, for a moment: only silence twice is told.
            self.again(aim.number, aim.attempt + 1)
            return
        self.told[aim.number] = 1
        if self.tries[aim.number] > 1:
            for other in [each for each, flight in self.flying.items() if flight.aim.number == aim.number]:
                self.land(other).sock.close()
        detail = "" if answer in ("open", "no-answer") else errno.errorcode.get(code, str(code))
        host = self.targets[aim.number][0]
        if self.names[host][0] != host:
            detail = ("%s %s" % (self.names[host][0], detail)).strip()
        self.say([aim.number, answer, round((time.monotonic() - started) * 1000, 3), detail])


def resolved(hosts: Set[str], patience: float) -> Dict[str, Tuple[str, str]]:
    """The address of each host, or why it has none; a name is looked up once, all at the same time."""
    found = {host: (host, "") for host in hosts if literal(host)}
    names = [host for host in hosts if host not in found]
    if not names:
        return found
    import threading

    # The system's resolver sends a lost question again after five seconds, when all of the patience is gone.
    os.environ.setdefault("RES_OPTIONS", "timeout:%d attempts:2" % max(1, int(patience * 0.4)))

    def look_up(name: str) -> None:
        try:
            answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            found[name] = (str(answers[0][4][0]), "")
        except OSError as error:
            found[name] = ("", "DNS: %s" % error)

    threads = [threading.Thread(target=look_up, args=(name,), daemon=True) for name in names]
    end = time.monotonic() + patience
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return {host: found.get(host) or ("", "DNS: no answer") for host in hosts}


def literal(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False


class Watch:
    """Tries one target again and again, until enough answers in a row are the wanted one, or time is up."""

    def __init__(self, specification: Dict[str, Any], say: Callable[[Any], None]) -> None:
        (self.host, self.port), self.wanted = specification["target"], specification["wanted"]
        self.interval, self.timeout = specification["interval"], specification["timeout"]
        self.settled, self.seconds = specification["settled"], specification["seconds"]
        self.say = say
        self.begun = time.monotonic()
        self.poll = select.poll()
        self.flying: Dict[int, Tuple[socket.socket, float]] = {}
        self.streak = 0

    def run(self) -> None:
        next_at = end = self.begun
        end += self.seconds
        while True:
            now = time.monotonic()
            enough = self.streak >= self.settled or now > end
            if enough and not self.flying:
                return
            if not enough and now >= next_at:
                next_at = max(next_at + self.interval, now)
                self.connect(now)
            first = min((started for _, started in self.flying.values()), default=now + 1) + self.timeout
            until = first if enough else min(first, next_at)
            for number, _ in self.poll.poll(max(0.0, until - time.monotonic()) * 1000):
                sock, started = self.flying[number]
                self.ended(number, started, outcome(landed(sock, "TCP")))
            for number, (_, started) in list(self.flying.items()):
                if started + self.timeout <= time.monotonic():
                    self.ended(number, started, "no-answer")

    def connect(self, now: float) -> None:
        sock, code = dial(self.host, self.port, "TCP")
        if sock is None:
            self.told(now, outcome(code))
            return
        self.flying[sock.fileno()] = (sock, now)
        self.poll.register(sock, select.POLLOUT)

    def ended(self, number: int, started: float, answer: str) -> None:
        self.poll.unregister(number)
        self.flying.pop(number)[0].close()
        self.told(started, answer)

    def told(self, started: float, answer: str) -> None:
        as_wanted = answer == "open" if self.wanted == "open" else answer in ("refused", "no-answer", "unreachable")
        self.streak = self.streak + 1 if as_wanted else 0
        self.say([self.since(started), answer, self.since(time.monotonic())])

    def since(self, moment: float) -> float:
        return round((moment - self.begun) * 1000, 3)


def sweep_targets(stream: BinaryIO) -> None:
    specification = json.loads(stream.read(int(stream.readline())))
    count = 0

    def say(line: Any) -> None:
        nonlocal count
        count += 1
        sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
        if watching or count % 64 == 0:
            sys.stdout.flush()

    watching = "target" in specification
    (Watch if watching else Sweep)(specification, say).run()
    sys.stdout.write(json.dumps({"end": specification["nonce"], "count": count}) + "\n")
    sys.stdout.flush()
    os._exit(0)  # a resolver's thread may still wait for an answer that nobody wants any more


if __name__ == "__main__":
    sweep_targets(sys.stdin.buffer)
