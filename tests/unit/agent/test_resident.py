"""An agent that stays is believed as one that was sent for the question, and not a word more."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from pytest_k8ssec.agent.resident import Resident
from pytest_k8ssec.agent.tasks import Privileges, WhichFile
from pytest_k8ssec.agent.vantage import AGENT, BOOT, PodVantage, ask
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Outcome, Source

HERE = Source("pod", "a/b", "10.244.0.7", "worker")
LONG = 20
SPECIFICATION = {"nonce": "n1", "tasks": []}
Says = Callable[[dict[str, Any]], bytes | None]
"""What an agent says to a specification; None: it ends without a word."""


def whole(told: dict[str, Any]) -> bytes:
    """A good answer."""
    end, left = {"end": told["nonce"]}, {"left": told["nonce"], "code": 0}
    return f"{json.dumps(end)}\n{json.dumps(left)}\n".encode()


@dataclass
class Line:
    """A session with an agent that says what it is told to, in one piece."""

    says: Says
    alive: bool = True
    closed: bool = False
    told: list[dict[str, Any]] = field(default_factory=list)
    pending: bytes = b""
    program: bytes = b""

    def tell(self, data: bytes) -> None:
        """The program first, then one specification after the other."""
        size, rest = data.split(b"\n", 1)
        assert int(size) == len(rest)
        if not self.program:
            self.program = rest
            return
        self.told.append(json.loads(rest))
        said = self.says(self.told[-1])
        if said is None:
            self.alive = False
        self.pending += said or b""

    def hear(self, seconds: float) -> tuple[bytes, bytes]:
        """All of it."""
        assert seconds > 0
        came, self.pending = self.pending, b""
        return came, b""

    def close(self) -> None:
        """The connection goes."""
        self.closed, self.alive = True, False


@dataclass
class Rooms:
    """Where agents are sent to, one after the other."""

    lines: list[Line]
    begun: int = 0
    source: Source = HERE

    def begin(self, argv: Sequence[str], deadline: float) -> Line:
        """The next one."""
        assert tuple(argv) == ("run",)
        assert deadline > 0
        self.begun += 1
        return self.lines[self.begun - 1]


def resident(*lines: Line) -> tuple[Resident, Rooms]:
    """An agent, and where it lives."""
    rooms = Rooms(list(lines))
    return Resident(rooms, ("run",), b"the program"), rooms


def test_it_is_started_once_and_asked_many_times() -> None:
    """The program goes once; each question says that others may follow."""
    line = Line(whole)
    stays, rooms = resident(line)
    for nonce in ("one", "two"):
        done = stays.ask({**SPECIFICATION, "nonce": nonce}, LONG)
        assert done is not None
        assert (0, json.dumps({"end": nonce})) == (done.code, done.text)
    assert (1, b"the program", ["one", "two"]) == (rooms.begun, line.program, [each["nonce"] for each in line.told])
    assert all(each["stay"] is True for each in line.told)
    stays.close()
    assert line.closed


def test_one_that_went_meanwhile_is_sent_anew() -> None:
    """Its container was started again, or the API server: that is no failed probe."""
    gone, fresh = Line(whole), Line(whole)
    stays, rooms = resident(gone, fresh)
    stays.ask(SPECIFICATION, LONG)
    gone.alive = False
    assert stays.ask(SPECIFICATION, LONG) is not None
    assert (2, 1, 1) == (rooms.begun, len(gone.told), len(fresh.told))
    assert gone.closed


def test_one_that_goes_without_a_word_is_sent_anew_once() -> None:
    """That it had gone may show only as it is asked."""
    answers: list[bytes | None] = [whole({"nonce": "n1"}), None]
    first, fresh = Line(lambda _: answers.pop(0)), Line(lambda _: None)
    stays, rooms = resident(first, fresh)
    stays.ask(SPECIFICATION, LONG)
    with pytest.raises(ProbeError, match="the agent ended before it answered"):
        stays.ask(SPECIFICATION, LONG)
    assert rooms.begun == 2


@pytest.mark.parametrize(
    "said",
    [
        b'{"id": 0, "outcome": "open"}\n',
        b'{"end": "n1"}\n{"left": "another", "code": 0}\n',
        b'{"end": "n1"}\n{"left": "n1"}\n',
        b'{"end": "n1"}\n{"left": "n1", "code": 0}',
        b'{"end": "n1"}\n["left", "n1"]\n',
    ],
    ids=["half", "of-another-question", "no-code", "cut-off", "list"],
)
def test_what_breaks_off_is_no_answer_and_is_not_asked_again(said: bytes) -> None:
    """Something was said, so something was done: to ask again would do it twice."""

    class Breaking(Line):
        def hear(self, seconds: float) -> tuple[bytes, bytes]:
            came = super().hear(seconds)
            self.alive = self.alive and bool(came[0])
            return came

    line = Breaking(lambda _: said)
    stays, rooms = resident(line, Line(whole))
    with pytest.raises(ProbeError, match=r"pod a/b on worker: the agent broke off in the middle"):
        stays.ask(SPECIFICATION, LONG)
    assert (1, True) == (rooms.begun, line.closed)
    assert stays.ask(SPECIFICATION, LONG) is not None, "the next question begins anew"
    assert rooms.begun == 2


def test_one_that_is_late_is_ended() -> None:
    """What it says later must not be taken for the answer to something else."""
    line = Line(lambda _: b"")
    stays, _ = resident(line)
    with pytest.raises(ProbeError, match="did not end in time"):
        stays.ask(SPECIFICATION, 0.05)
    assert line.closed


def test_who_finds_it_busy_is_told_so() -> None:
    """Two questions at the same time are two agents: their lines must not mix."""
    asked, answer = threading.Event(), threading.Event()

    def slow(told: dict[str, Any]) -> bytes:
        asked.set()
        assert answer.wait(LONG)
        return whole(told)

    stays, _ = resident(Line(slow))
    first: queue.SimpleQueue[object] = queue.SimpleQueue()
    thread = threading.Thread(target=lambda: first.put(stays.ask(SPECIFICATION, LONG)))
    thread.start()
    assert asked.wait(LONG)
    assert stays.ask(SPECIFICATION, LONG) is None
    answer.set()
    assert first.get(timeout=LONG) is not None
    thread.join()


def test_one_that_is_busy_can_be_ended_all_the_same() -> None:
    """Whoever waits for its answer learns that it broke off: a clean-up does not wait for a probe's deadline."""
    asked = threading.Event()

    class Silent(Line):
        def hear(self, seconds: float) -> tuple[bytes, bytes]:
            asked.set()
            while not self.closed:
                threading.Event().wait(0.01)
            return b"", b""

    line = Silent(lambda _: b"")
    stays, rooms = resident(line)
    ended: queue.SimpleQueue[object] = queue.SimpleQueue()

    def ask_it() -> None:
        try:
            ended.put(stays.ask(SPECIFICATION, LONG))
        except ProbeError as error:
            ended.put(error)

    thread = threading.Thread(target=ask_it)
    thread.start()
    assert asked.wait(LONG)
    stays.close()
    assert isinstance(ended.get(timeout=LONG), ProbeError)
    thread.join()
    assert rooms.begun == 1


# -- the real program -------------------------------------------------------------------------------------------------


class Process:
    """A session with a process of this machine."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.running = subprocess.Popen(
            [sys.executable, *argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.running.poll() is None

    def tell(self, data: bytes) -> None:
        """Write."""
        assert self.running.stdin is not None
        self.running.stdin.write(data)
        self.running.stdin.flush()

    def hear(self, seconds: float) -> tuple[bytes, bytes]:
        """Read what is there."""
        assert self.running.stdout is not None
        return os.read(self.running.stdout.fileno(), 65536), b""

    def close(self) -> None:
        """Its standard input ends."""
        self.running.communicate(timeout=LONG)


@dataclass
class Machine:
    """As much of a cluster as a pod's vantage uses; its pod is this machine."""

    sessions: list[Process] = field(default_factory=list)

    @property
    def api(self) -> Machine:
        """Itself."""
        return self

    def session(self, namespace: str, pod: str, argv: Sequence[str], *, container: str, deadline: float) -> Process:
        """Start it here."""
        assert (namespace, pod, container) == ("ns", "pod", "main")
        self.sessions.append(Process(argv))
        return self.sessions[-1]


@contextmanager
def living() -> Iterator[tuple[PodVantage, Machine]]:
    """A pod with an agent that stays in it."""
    machine = Machine()
    bare = PodVantage(cast("Cluster", machine), "ns", "pod", "main", HERE)
    stays = Resident(bare, BOOT, AGENT.read_bytes())
    try:
        yield PodVantage(bare.cluster, "ns", "pod", "main", HERE, stays), machine
    finally:
        stays.close()


def test_the_program_answers_one_question_after_the_other() -> None:
    """Each in a process of its own, which leaves nothing behind for the next; at the end of its input it goes."""
    with living() as (vantage, machine):
        answers = [ask(vantage, [Privileges(), WhichFile("/")]) for _ in range(3)]
        assert all(each.evidence.outcome is Outcome.DONE for answer in answers for each in answer)
        assert len(machine.sessions) == 1
        (process,) = machine.sessions
        assert process.alive
    assert process.running.returncode == 0


def test_a_child_that_dies_is_told_and_the_next_one_lives() -> None:
    """No answer of it is believed."""
    with living() as (vantage, machine):
        ask(vantage, [Privileges()])
        stays = vantage.resident
        assert stays is not None
        done = stays.ask({"nonce": "n", "workers": 1, "tasks": [{}]}, LONG)
        assert done is not None
        assert done.code == 1
        assert [Outcome.DONE] == [each.evidence.outcome for each in ask(vantage, [Privileges()])]
        assert len(machine.sessions) == 1
