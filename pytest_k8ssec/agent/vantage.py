"""The places that tasks are sent from, and the one way to run the agent there: one exec, all tasks in it, JSON back.

A task of ``tasks``, such as ``Tcp``, goes through ``probe`` and ``ask`` to the program ``remote/agent.py``, which does it there.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from pytest_k8ssec.agent.resident import Resident, Session
from pytest_k8ssec.agent.tasks import Hello, Http, Resolve, Task, Tcp, Trust, Udp
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import JSON, Evidence, Outcome, Source
from pytest_k8ssec.machine.process import Completed

AGENT = Path(__file__).parent / "remote" / "agent.py"
BOOT = ("python3", "-c", "import sys;s=sys.stdin.buffer;exec(compile(s.read(int(s.readline())),'agent','exec'))")
"""The command that runs a program of ours from its standard input."""
_WORKERS = 64
_FEW = 4
"""So many at a time is asked again what was not answered among many: each handshake takes a share of the pod's processor."""
_TASKS_MAX = 256
"""No exec has more tasks: each answer takes memory in a pod that has little."""
_AGENTS_MAX = 2
"""So many agents are in a pod at the same time, besides the one that stays: with more, its limit of memory kills them."""
_SENT = (Tcp, Udp, Http, Trust, Hello, Resolve)
"""Tasks that send something over the network."""
_SPOKEN = (Http, Trust, Hello)
"""Those that a server has to work for."""
_GUESSED = "found nothing as a user that is a guess, as nobody tells whom the container is started as"
_PLACES_MAX = 16
"""Places that are asked at the same time."""


class Vantage(Protocol):
    """A place that can run Python."""

    @property
    def source(self) -> Source:
        """How evidence names the place."""

    def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:
        """Run a command there. Raises ProbeError."""


@dataclass(frozen=True, slots=True)
class PodVantage:
    """Inside a running pod's container."""

    cluster: Cluster
    namespace: str
    pod: str
    container: str
    source: Source
    resident: Resident | None = field(default=None, compare=False)
    """An agent that stays in it; without one, each question sends an agent anew."""
    room: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(_AGENTS_MAX), compare=False, repr=False
    )
    """Whoever sends an agent has to have it meanwhile."""
    user_is_guessed: bool = False
    """Whether nobody told whom it should run as: that such a one finds nothing where it may not look says nothing."""
    network: Vantage | None = field(default=None, compare=False)
    """From where what goes over the network is sent instead, where this pod's own network is not the one to be judged."""

    def begin(self, argv: Sequence[str], deadline: float) -> Session:
        """Start a command there that runs on. Raises ProbeError."""
        return self.cluster.api.session(self.namespace, self.pod, argv, container=self.container, deadline=deadline)

    def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:
        """See :class:`Vantage`."""
        with self.room:
            return self.cluster.api.exec(
                self.namespace, self.pod, argv, container=self.container, stdin=stdin, deadline=deadline
            )


@dataclass(frozen=True, slots=True)
class NetworkVantage:
    """A node's network namespace, or (``node`` None) a container beside the nodes: outside the cluster."""

    cluster: Cluster
    node: Node | None

    @property
    def source(self) -> Source:
        """See :class:`Vantage`."""
        if self.node is None:
            return Source("outside", "container on the nodes' network")
        return Source("node", self.node.name, self.node.address, self.node.name)

    def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:
        """See :class:`Vantage`."""
        return self.cluster.in_network_of(self.node, argv, deadline=deadline, stdin=stdin)


@dataclass(frozen=True, slots=True)
class Answer:
    """One task's evidence, and what came back beside it and may be secret: never put that into a report."""

    evidence: Evidence
    raw: dict[str, JSON]


def ask(vantage: Vantage, tasks: Sequence[Task]) -> list[Answer]:
    """Run all tasks from one place at once: by the agent that stays there, or by one exec; very many one lot after the other.

    Returns:
        one answer a task, in the tasks' order.

    Raises:
        ProbeError: the exec failed, there is no Python, or the agent did not finish. No single answer of such a
            run may be used.
    """
    elsewhere = vantage.network if isinstance(vantage, PodVantage) else None
    sent = [elsewhere is not None and isinstance(task, _SENT) for task in tasks]
    if elsewhere is not None and any(sent):
        stays = [task for task, away in zip(tasks, sent, strict=True) if not away]
        here = iter(_here(vantage, stays))
        there = iter(ask(elsewhere, [task for task, away in zip(tasks, sent, strict=True) if away]))
        return [next(there if away else here) for away in sent]
    return _here(vantage, tasks)


def _here(vantage: Vantage, tasks: Sequence[Task]) -> list[Answer]:
    """All of them from the place itself."""
    lots = (tasks[at : at + _TASKS_MAX] for at in range(0, len(tasks), _TASKS_MAX))
    return [answer for lot in lots for answer in _heard_out(vantage, lot, _lot(vantage, lot))]


def _heard_out(vantage: Vantage, tasks: Sequence[Task], answers: list[Answer]) -> list[Answer]:
    """The same, once more for what a server left unanswered while it answered others: it may just have been too much at once."""
    of = [(task.host, task.port) if isinstance(task, _SPOKEN) else None for task in tasks]
    silent = [answer.evidence.outcome is Outcome.NO_ANSWER for answer in answers]
    speaks = {server for server, no_word in zip(of, silent, strict=True) if server and not no_word}
    again = [number for number, server in enumerate(of) if silent[number] and server in speaks]
    if again:
        for number, answer in zip(again, _lot(vantage, [tasks[one] for one in again], workers=_FEW), strict=True):
            answers[number] = answer
    return answers


def _lot(vantage: Vantage, tasks: Sequence[Task], *, workers: int = _WORKERS) -> list[Answer]:
    """What one exec answers."""
    nonce = secrets.token_hex(8)
    listed = [{"id": number, **task.specification()} for number, task in enumerate(tasks)]
    # Each worker does its share one after the other; an HTTP task may wait once to connect and once to read.
    slowest = sum(task.get("timeout", 5.0) * 2 for task in listed) / min(workers, len(listed))
    deadline = 10 + max(slowest, *(task.get("timeout", 5.0) * 2 for task in listed))
    done = _done(vantage, {"nonce": nonce, "workers": workers, "tasks": listed}, deadline)
    answers = _answers(done, nonce, len(tasks), vantage.source)
    guessed = isinstance(vantage, PodVantage) and vantage.user_is_guessed
    return [
        Answer(_evidence(vantage.source, task, raw, guessed=guessed), raw)
        for task, raw in zip(tasks, answers, strict=True)
    ]


def resident(vantage: PodVantage) -> PodVantage:
    """The same place with an agent that stays in it, once it is asked something."""
    return replace(vantage, resident=Resident(vantage, BOOT, AGENT.read_bytes()))


def _done(vantage: Vantage, specification: Mapping[str, JSON], deadline: float) -> Completed:
    """What an agent says there: the one that stays, unless there is none, or it is busy. Raises ProbeError."""
    stays = vantage.resident if isinstance(vantage, PodVantage) else None
    if stays is not None and (done := stays.ask(specification, deadline)) is not None:
        return done
    return vantage.execute(BOOT, program(AGENT, specification), deadline)


def program(file: Path, specification: Mapping[str, JSON]) -> bytes:
    """What goes to :data:`BOOT` on standard input: the program, then what it is to do; each after its length."""
    code, told = file.read_bytes(), json.dumps(specification).encode()
    return b"%d\n%b%d\n%b" % (len(code), code, len(told), told)


def ask_all(sources: Sequence[Vantage], tasks: Sequence[Task]) -> list[list[Answer]]:
    """Like :func:`ask`: the same from several places at the same time, a list for each.

    Raises:
        ProbeError: an exec broke.
    """
    with ThreadPoolExecutor(max_workers=max(1, min(_PLACES_MAX, len(sources)))) as pool:
        return list(pool.map(lambda source: ask(source, tasks), sources))


def probe(vantage: Vantage, tasks: Sequence[Task]) -> list[Evidence]:
    """Like :func:`ask`, where only the evidence is wanted."""
    return [answer.evidence for answer in ask(vantage, tasks)]


def probe_all(asked: Sequence[tuple[Vantage, Sequence[Task]]]) -> list[list[Evidence]]:
    """Like :func:`probe`, from several places at the same time; a place that is asked several times is asked once.

    What is the same task from the same place is done once, and its evidence stands for each.

    Raises:
        ProbeError: an exec broke.
    """
    places: dict[Source, tuple[Vantage, dict[str, Task]]] = {}
    for vantage, tasks in asked:
        places.setdefault(vantage.source, (vantage, {}))[1].update((_key(task), task) for task in tasks)
    with ThreadPoolExecutor(max_workers=max(1, min(_PLACES_MAX, len(places)))) as pool:
        done = pool.map(lambda one: dict(zip(one[1], probe(one[0], [*one[1].values()]), strict=True)), places.values())
        found = dict(zip(places, done, strict=True))
    return [[found[vantage.source][_key(task)] for task in tasks] for vantage, tasks in asked]


def _key(task: Task) -> str:
    return json.dumps(task.specification(), sort_keys=True)


def _answers(done: Completed, nonce: str, count: int, source: Source) -> list[dict[str, JSON]]:
    """The agent's answers by task, believed only if all are there and the closing line carries the nonce."""
    found: dict[int, dict[str, JSON]] = {}
    ended = False
    for line in done.text.splitlines():
        answer = _answer(line, source)
        if answer.get("end") == nonce:
            ended = True
            continue
        number, outcome = answer.get("id", -1), answer.get("outcome")
        if number not in range(count) or number in found or outcome not in list(Outcome):
            raise ProbeError(f"{source}: the agent answered a task that it was not given")
        found[number] = answer
    if done.code != 0 or not ended or len(found) != count:
        raise ProbeError(
            f"{source}: the agent did not finish (exit code {done.code}, {len(found)} of {count} answers)",
            # Not what it answered, which may hold a token.
            details=replace(done, stdout=b"").errors,
        )
    return [found[number] for number in range(count)]


def _answer(line: str, source: Source) -> dict[str, JSON]:
    """One line of the agent's; never quoted, as it may hold a token. Raises ProbeError where it is none."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise ProbeError(f"{source}: the agent answered with something that is not JSON")
    return answer


def _evidence(source: Source, task: Task, raw: dict[str, JSON], *, guessed: bool = False) -> Evidence:
    if guessed and raw["outcome"] == Outcome.ABSENT and (shut := raw.get("facts", {}).get("denied")):
        words = f"{_GUESSED}, and {shut} files or folders are shut to it: {raw.get('detail', '')}"
        raw = {**raw, "outcome": Outcome.ERROR, "detail": words}
    return Evidence(
        source,
        str(task),
        Outcome(raw["outcome"]),
        detail=str(raw.get("detail", ""))[:300],
        status=raw.get("status"),
        latency_ms=raw.get("ms"),
        facts=raw.get("facts", {}),
    )
