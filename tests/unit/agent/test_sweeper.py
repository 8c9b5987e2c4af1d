"""The sweeper, run as it runs in a pod: as a process of its own, against sockets on loopback."""

from __future__ import annotations

import errno
import itertools
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_k8ssec.agent.remote import sweeper
from pytest_k8ssec.agent.vantage import BOOT, program
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Outcome, Source
from pytest_k8ssec.machine.process import Completed, run
from pytest_k8ssec.reach.measure import SWEEPER, Dial, Manner, measure, measure_from, run_plan

HERE = "127.0.0.1"
HERE_POD = Source("pod", "a/b")
QUICK = Manner(timeout=0.3, execs=4, resolve=2.0)


class ThisMachine:
    """A place: the machine that the test runs on."""

    source = Source("client", "this machine")

    def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:
        """Run it with the Python that runs the test."""
        return run([sys.executable, *argv[1:]], deadline=deadline, stdin=stdin)


@contextmanager
def listening(
    kind: socket.SocketKind = socket.SOCK_STREAM, *, backlog: int = 64
) -> Iterator[tuple[socket.socket, int]]:
    """A socket that listens, or is bound, and its port."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind((HERE, 0))
        sock.settimeout(20)
        if kind == socket.SOCK_STREAM:
            sock.listen(backlog)
        yield sock, sock.getsockname()[1]


def accept(sock: socket.socket, count: int) -> None:
    """Take so many connections, and close each."""
    for _ in range(count):
        sock.accept()[0].close()


@contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[None]:
    """Something done in a thread, which has ended when its sockets are closed: the last of it outlasts the sweeper."""
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(work)
        yield
        done.result()


@pytest.fixture
def silent() -> Iterator[int]:
    """A port whose queue is full: a connection to it gets no answer, as from behind a wall that drops packets."""
    with listening(backlog=0) as (_, port), socket.socket() as first, socket.socket() as second:
        for sock in (first, second):
            sock.setblocking(False)
            sock.connect_ex((HERE, port))
        time.sleep(0.05)
        yield port


def test_tcp_tells_open_refused_and_silence_apart(closed: int, silent: int) -> None:
    """Each answer stands at its target, with the milliseconds that it took."""
    with listening() as (_, port):
        row = measure_from(ThisMachine(), [Dial(HERE, closed), Dial(HERE, port), Dial(HERE, silent)], QUICK)
    assert not row.broken
    assert [Outcome.REFUSED, Outcome.OPEN, Outcome.NO_ANSWER] == [row.outcome(number) for number in range(3)]
    assert "ECONNREFUSED" == row.details[0]
    assert 0 < row.latencies[1]
    assert 300 <= row.latencies[2]


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """The far ends of what the sweeper dials. A connection is under way until its far end has room for more.

    Each look at the clock takes 20 ms, so that no machine is too slow for what is tried here.
    """
    ends: list[socket.socket] = []

    def dial(*_: object) -> tuple[socket.socket, int]:
        near, far = socket.socketpair()
        near.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                near.send(b"x" * 65536)
        ends.append(far)
        return near, 0

    clock = itertools.count(0, 0.02)
    monkeypatch.setattr(sweeper, "dial", dial)
    monkeypatch.setattr(sweeper, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    yield ends
    for far in ends:
        far.close()


def swept_once(connections: list[socket.socket], answers: int) -> list[Any]:
    """What is said of one target, where the try of that number answers as soon as there are two of them."""
    said: list[Any] = []
    told = {"targets": [(HERE, 1, "TCP")], "timeout": 1.0, "attempts": 2, "sockets": 4, "rate": 1e6, "resolve": 1}
    sweep = sweeper.Sweep(told, said.append)
    again = sweep.start

    def start() -> None:
        again()
        if len(connections) == 2:
            connections[answers].setblocking(False)
            with suppress(BlockingIOError):
                while connections[answers].recv(1 << 20):
                    pass

    sweep.start = start  # type: ignore[method-assign]
    sweep.run()
    return said


def test_silence_is_told_only_once_it_was_tried_again(connections: list[socket.socket]) -> None:
    """A packet that was lost once is no wall: another try is made half a timeout later."""
    ((_, answer, latency, _),) = swept_once(connections, 1)
    assert "open" == answer
    assert latency < 500
    assert 2 == len(connections)


def test_a_first_try_that_answers_late_is_told_once(connections: list[socket.socket]) -> None:
    """Beside it another one is under way by then, which is given up."""
    ((_, answer, latency, _),) = swept_once(connections, 0)
    assert "open" == answer
    assert latency > 500
    assert 2 == len(connections)


def test_udp_is_open_by_its_answer_only() -> None:
    """Refused by ICMP; a listener that says nothing is silent, which is not blocked: nobody can tell."""
    with listening(socket.SOCK_DGRAM) as (_, closed):
        pass
    with listening(socket.SOCK_DGRAM) as (echo, port), listening(socket.SOCK_DGRAM) as (_, mute):

        def answer() -> None:
            data, address = echo.recvfrom(64)
            echo.sendto(data, address)

        with meanwhile(answer):
            row = measure_from(ThisMachine(), [Dial(HERE, port, "UDP"), Dial(HERE, closed, "UDP")], Manner(timeout=20))
        silent = measure_from(ThisMachine(), [Dial(HERE, mute, "UDP")], QUICK)
    assert [Outcome.OPEN, Outcome.REFUSED] == [row.outcome(number) for number in range(2)]
    assert Outcome.NO_ANSWER is silent.outcome(0)


def test_a_dns_server_is_asked_a_question() -> None:
    """It would not answer anything else."""
    assert sweeper.DNS_QUERY[-5:] == b"\x00" + b"\x00\x02\x00\x01"
    query = b"ab" + sweeper.DNS_QUERY
    assert 12 + 5 == len(query)


def test_a_name_is_looked_up_where_it_is_used_and_one_that_is_none_is_unknown() -> None:
    """Without an address nothing was tried: that is no wall."""
    with listening() as (_, port):
        row = measure_from(ThisMachine(), [Dial("localhost", port), Dial("name.invalid", 80)], QUICK)
    assert (Outcome.OPEN, HERE) == (row.outcome(0), row.details[0])
    assert Outcome.ERROR is row.outcome(1)
    assert row.details[1].startswith("DNS:")


def test_a_shortage_of_this_machine_is_no_answer_of_the_target() -> None:
    """With ten descriptors 60 targets are tried all the same, fewer at a time, and each is told as it is."""
    with listening(backlog=128) as (_, port):
        told = {
            "nonce": "n", "targets": [(HERE, port, "TCP")] * 60, "timeout": 2.0, "attempts": 2, "sockets": 60,
            "rate": 5000.0, "resolve": 1.0,
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, *BOOT[1:]], input=program(SWEEPER, told), capture_output=True, timeout=60, check=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10)),
        )  # fmt: skip
    *answers, end = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"end": "n", "count": 60} == end
    assert ["open"] * 60 == [answer[1] for answer in answers]


def test_a_shortage_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never "refused", never endless."""
    monkeypatch.setattr(sweeper, "dial", lambda *_: (None, errno.EADDRNOTAVAIL))
    monkeypatch.setattr(sweeper, "PAUSE", 0.001)
    said: list[Any] = []
    told = {"targets": [[HERE, 1, "TCP"]], "timeout": 1, "attempts": 2, "sockets": 4, "rate": 1e6, "resolve": 1}
    sweeper.Sweep(told, said.append).run()
    assert [0, "error", "EADDRNOTAVAIL"] == [said[0][0], said[0][1], said[0][3]]


def test_the_rate_is_kept() -> None:
    """So many a second, and no more, however many sockets there are."""
    with listening(backlog=256) as (_, port):
        started = time.monotonic()
        row = measure_from(ThisMachine(), [Dial(HERE, port)] * 60, Manner(rate=100.0))
    assert 60 == row.codes.count(0)
    assert time.monotonic() - started >= 0.5


def test_a_thousand_targets_are_one_exec() -> None:
    """And each gets its own answer."""
    with listening(backlog=1024) as (sock, port), meanwhile(lambda: accept(sock, 1000)):
        ((number, row),) = measure([ThisMachine()], [Dial(HERE, port)] * 1000, timeout=5)
    assert (0, 1000) == (number, row.codes.count(0))


def test_a_protocol_that_the_kernel_lacks_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """No SCTP here says nothing of what listens there."""
    assert (None, errno.EPROTONOSUPPORT) == _with_error(monkeypatch, errno.EPROTONOSUPPORT)
    assert "error" == sweeper.outcome(errno.EPROTONOSUPPORT)


def _with_error(monkeypatch: pytest.MonkeyPatch, code: int) -> tuple[socket.socket | None, int]:
    def refuse(*_: Any) -> socket.socket:
        raise OSError(code, "no")

    # The sweeper's own: a listener's thread of another file's test may still be taking its last connection.
    monkeypatch.setattr(sweeper, "socket", SimpleNamespace(**{**vars(socket), "socket": refuse}))
    return sweeper.dial(HERE, 1, "SCTP")


# What is believed


@dataclass
class Scripted:
    """A place whose sweeper says what it is told to."""

    lines: Callable[[str], Sequence[Any]]
    code: int = 0
    source: Source = HERE_POD
    asked: list[bytes] = field(default_factory=list)

    def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:
        """Answer."""
        self.asked.append(stdin)
        nonce = json.loads(stdin.splitlines()[-1])["nonce"]
        said = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in self.lines(nonce))
        return Completed(tuple(argv), self.code, said.encode(), b"why")


OPEN, REFUSED = [0, "open", 1.0, ""], [1, "refused", 1.0, ""]
TWO = (Dial(HERE, 1), Dial(HERE, 2))


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (lambda _: [OPEN, REFUSED], 0),
        (lambda nonce: [OPEN, {"end": nonce}], 0),
        (lambda nonce: [OPEN, OPEN, REFUSED, {"end": nonce}], 0),
        (lambda nonce: [OPEN, REFUSED, [2, "open", 1.0, ""], {"end": nonce}], 0),
        (lambda nonce: [OPEN, [-1, "refused", 1.0, ""], {"end": nonce}], 0),
        (lambda nonce: [OPEN, [1, "blocked", 1.0, ""], {"end": nonce}], 0),
        (lambda nonce: [OPEN, REFUSED, "not JSON", {"end": nonce}], 0),
        (lambda nonce: [OPEN, REFUSED, {"end": nonce}], 137),
        (lambda _: [OPEN, REFUSED, {"end": "another's"}], 0),
        (lambda _: [], 0),
    ],
    ids=["cut-off", "missing", "twice", "unasked", "negative", "outcome", "garbage", "killed", "nonce", "nothing"],
)  # fmt: skip
def test_a_source_that_breaks_knows_nothing(lines: Callable[[str], Sequence[Any]], code: int) -> None:
    """Not even what it had said before: every target is unknown, with the reason; never blocked."""
    row = measure_from(Scripted(lines, code), TWO)
    assert [Outcome.ERROR, Outcome.ERROR] == [row.outcome(0), row.outcome(1)]
    assert "a/b" in row.broken


def test_a_source_that_can_not_be_entered_knows_nothing() -> None:
    """An exec that was refused is no denial."""

    class Locked(Scripted):
        def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:
            raise ProbeError("exec in pod a/b: refused: Forbidden")

    row = measure_from(Locked(lambda _: []), TWO)
    assert "exec in pod a/b: refused: Forbidden" == row.broken
    assert {Outcome.ERROR} == {row.outcome(0), row.outcome(1)}


def test_all_sources_answer_each_in_its_own_time_and_one_that_breaks_breaks_no_other() -> None:
    """Rows come as they end, with the number of their source; one exec a source."""
    good = Scripted(lambda nonce: [REFUSED, OPEN, {"end": nonce}])
    bad = Scripted(lambda _: [])
    rows = dict(run_plan([(good, TWO), (bad, TWO), (good, TWO), (good, ())]))
    assert [0, 1, 2, 3] == sorted(rows)
    assert (Outcome.OPEN, Outcome.REFUSED) == (rows[0].outcome(0), rows[0].outcome(1))
    assert rows[1].broken
    assert not rows[2].broken
    assert (2, 1) == (len(good.asked), len(bad.asked))


def test_the_rate_is_shared_by_those_who_measure_at_once() -> None:
    """So that it is the cluster's load that is bounded, not each source's."""
    source = Scripted(lambda nonce: [OPEN, REFUSED, {"end": nonce}])
    list(measure([source] * 4, TWO, manner=Manner(rate=1000, execs=2)))
    assert [500.0] * 4 == [json.loads(each.splitlines()[-1])["rate"] for each in source.asked]


# Watching


def test_a_watch_ends_once_the_state_has_changed_for_good() -> None:
    """The listener goes while it is watched; each line tells when a connection began, and what came of it."""
    listener = socket.socket()
    listener.bind((HERE, 0))
    listener.listen(4096)  # nobody takes what is tried, and a full queue would answer no more
    told = {
        "nonce": "n", "target": (HERE, listener.getsockname()[1]), "wanted": "blocked", "interval": 0.005,
        "timeout": 0.5, "settled": 10, "seconds": 20,
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, *BOOT[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as watch:
        assert watch.stdin
        assert watch.stdout
        watch.stdin.write(program(SWEEPER, told))
        lines = [json.loads(watch.stdout.readline()) for _ in range(5)]
        listener.close()
        lines += [json.loads(line) for line in watch.stdout.read().splitlines()]
    *tries, end = lines
    assert {"end": "n", "count": len(tries)} == end
    assert {"open"} == {outcome for _, outcome, _ in tries[:5]}
    assert {"refused"} == {outcome for _, outcome, _ in tries[-10:]}
    assert all(began <= ended for began, _, ended in tries)
