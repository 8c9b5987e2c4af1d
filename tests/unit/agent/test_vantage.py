"""What is believed of an agent's answers: all of them, each to its question, under the nonce of this run; or nothing."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from pytest_k8ssec.agent.tasks import Http, Task, Tcp, Tokens, Udp
from pytest_k8ssec.agent.vantage import AGENT, NetworkVantage, PodVantage, ask, probe, probe_all
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Outcome, Source
from pytest_k8ssec.machine.process import Completed

HERE = Source("pod", "a/b", "10.244.0.7", "worker")
TOKEN = "eyJhbGciOi.the-token-that-nobody-may-see.c2ln"
TASKS = (Tcp("10.0.0.1", 80), Udp("10.0.0.2", 53))
OPEN = {"outcome": "open", "ms": 1.5}
Lines = Callable[[str], Sequence[Any]]
"""The lines that an agent says, by the nonce of its run; what is no text is said as JSON."""


@dataclass
class Scripted:
    """A place whose agent says what it is told to."""

    lines: Lines
    code: int = 0
    stderr: bytes = b""
    source: Source = HERE
    asked: list[tuple[Sequence[str], bytes, float]] = field(default_factory=list)

    def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:
        """Read the specification, as the agent does, and answer."""
        self.asked.append((argv, stdin, deadline))
        lines = self.lines(str(self.specification["nonce"]))
        said = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
        return Completed(tuple(argv), self.code, said.encode(), self.stderr)

    @property
    def specification(self) -> dict[str, Any]:
        """What the agent was asked last."""
        size, rest = self.asked[-1][1].split(b"\n", 1)
        assert AGENT.read_bytes() == rest[: int(size)]
        size, rest = rest[int(size) :].split(b"\n", 1)
        assert int(size) == len(rest)
        return dict(json.loads(rest))


def good(nonce: str) -> list[Any]:
    """What an agent says that did its work."""
    return [{"id": 0, **OPEN}, {"id": 1, "outcome": "refused", "detail": "x"}, {"end": nonce, "count": 2}]


def test_answers_stand_in_the_order_of_the_tasks() -> None:
    """Whichever was ready first."""
    vantage = Scripted(lambda nonce: [good(nonce)[1], good(nonce)[0], good(nonce)[2]])
    first, second = ask(vantage, TASKS)
    assert (HERE, "TCP 10.0.0.1:80", Outcome.OPEN, "", None, 1.5) == (
        first.evidence.source,
        first.evidence.request,
        first.evidence.outcome,
        first.evidence.detail,
        first.evidence.status,
        first.evidence.latency_ms,
    )
    assert ("UDP 10.0.0.2:53", Outcome.REFUSED, "x") == (
        second.evidence.request,
        second.evidence.outcome,
        second.evidence.detail,
    )
    assert [first.evidence.request, second.evidence.request] == [str(task) for task in TASKS]
    assert [first.raw["id"], second.raw["id"]] == [0, 1]


def test_no_task_is_no_exec() -> None:
    """Nothing is sent for nothing."""
    vantage = Scripted(good)
    assert [] == ask(vantage, [])
    assert [] == vantage.asked


def test_the_status_comes_along_and_details_are_shortened() -> None:
    """A peer's words are its own: they must not fill the report."""
    answer = {"id": 0, "outcome": "http", "status": 403, "detail": "x" * 5000, "body": "kept apart"}
    (found,) = probe(Scripted(lambda nonce: [answer, {"end": nonce}]), TASKS[:1])
    assert (Outcome.HTTP, 403, 300) == (found.outcome, found.status, len(found.detail))
    assert "kept apart" not in str(found.to_json())


@pytest.mark.parametrize(
    ("lines", "code", "why"),
    [
        (lambda _: [], 0, "did not finish (exit code 0, 0 of 2 answers)"),
        (lambda nonce: good(nonce)[:2], 0, "did not finish (exit code 0, 2 of 2 answers)"),
        (lambda nonce: good(nonce)[1:], 0, "did not finish (exit code 0, 1 of 2 answers)"),
        (lambda nonce: good(nonce)[2:], 0, "did not finish (exit code 0, 0 of 2 answers)"),
        (good, 1, "did not finish (exit code 1, 2 of 2 answers)"),
        (good, 137, "did not finish (exit code 137, 2 of 2 answers)"),
        (lambda _: good("0123456789abcdef"), 0, "answered a task that it was not given"),
        (lambda _: good(""), 0, "answered a task that it was not given"),
        (lambda nonce: [*good(nonce), {"id": 2, **OPEN}], 0, "answered a task that it was not given"),
        (lambda nonce: [*good(nonce), {"id": -1, **OPEN}], 0, "answered a task that it was not given"),
        (lambda nonce: [*good(nonce), {"id": "0", **OPEN}], 0, "answered a task that it was not given"),
        (lambda nonce: [*good(nonce), {"id": [], **OPEN}], 0, "answered a task that it was not given"),
        (lambda nonce: [*good(nonce), OPEN], 0, "answered a task that it was not given"),
        (lambda nonce: [*good(nonce), {}], 0, "answered a task that it was not given"),
        (lambda nonce: [{"id": 0, **OPEN}, *good(nonce)], 0, "answered a task that it was not given"),
        (lambda nonce: [{"id": 0}, *good(nonce)], 0, "answered a task that it was not given"),
        (lambda nonce: [{"id": 0, "outcome": "held"}, *good(nonce)], 0, "answered a task that it was not given"),
        (lambda nonce: [{"id": 0, "outcome": ["open"]}, *good(nonce)], 0, "answered a task that it was not given"),
        (lambda nonce: [{"id": 0, "outcome": {}}, *good(nonce)], 0, "answered a task that it was not given"),
        (lambda nonce: ["Welcome to this pod!", *good(nonce)], 0, "something that is not JSON"),
        (lambda nonce: ["", *good(nonce)], 0, "something that is not JSON"),
        (lambda nonce: [*good(nonce), '{"id": 0,'], 0, "something that is not JSON"),
        (lambda nonce: ["[]", *good(nonce)], 0, "something that is not JSON"),
        (lambda nonce: ["null", *good(nonce)], 0, "something that is not JSON"),
        (lambda nonce: ['"open"', *good(nonce)], 0, "something that is not JSON"),
        (lambda nonce: ["[" * 100_000, *good(nonce)], 0, "something that is not JSON"),
    ],
    ids=[
        "nothing", "no-end", "one-missing", "only-the-end", "failed", "killed", "foreign-nonce", "empty-nonce",
        "id-too-large", "id-negative", "id-is-text", "id-is-list", "no-id", "empty", "twice", "no-outcome",
        "unknown-outcome", "outcome-is-list", "outcome-is-mapping", "banner", "blank-line", "cut-off", "list", "null",
        "text", "nested",
    ],
)  # fmt: skip
def test_nothing_is_believed_of_a_run_that_is_not_whole(lines: Lines, code: int, why: str) -> None:
    """One answer too many, too few or astray, and all of them are worth nothing."""
    with pytest.raises(ProbeError) as caught:
        ask(Scripted(lines, code), TASKS)
    assert caught.value.message.startswith("pod a/b on worker: ")
    assert why in caught.value.message


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (lambda nonce: [TOKEN, *good(nonce)], 0),
        (lambda nonce: [f'{{"id": 0, "token": "{TOKEN}"', *good(nonce)], 0),
        (lambda nonce: [[TOKEN], *good(nonce)], 0),
        (lambda nonce: [{"id": 7, "token": TOKEN, **OPEN}, *good(nonce)], 0),
        (lambda nonce: [{"id": 0, "outcome": TOKEN}, *good(nonce)], 0),
        (lambda nonce: [{"id": 0, "token": TOKEN, **OPEN}, *good(nonce)], 0),
        (lambda nonce: [{"id": 0, "token": TOKEN, **OPEN}, {"end": nonce}], 0),
        (lambda _: [{"id": 0, "token": TOKEN, **OPEN}], 137),
    ],
    ids=["plain", "cut-off", "list", "foreign-id", "outcome", "twice", "one-missing", "killed"],
)
def test_what_an_agent_said_is_never_shown(lines: Lines, code: int) -> None:
    """It may hold a token, also where nothing on standard error would explain the failure."""
    with pytest.raises(ProbeError) as caught:
        ask(Scripted(lines, code), TASKS)
    assert "the-token" not in "".join(traceback.format_exception(caught.value))


def test_why_an_agent_failed_is_what_it_says_on_standard_error() -> None:
    """The end of it."""
    stderr = "".join(f"line {number}\n" for number in range(100)).encode()
    with pytest.raises(ProbeError) as caught:
        ask(Scripted(lambda _: [], 1, stderr + b"sh: python3: not found\n"), TASKS)
    assert "sh: python3: not found" == caught.value.details.splitlines()[-1]
    assert "line 0" not in caught.value.details


def test_nothing_secret_is_in_the_command_line() -> None:
    """The specification goes over standard input; each run has a nonce of its own."""
    vantage = Scripted(lambda nonce: [{"id": 0, **OPEN}, {"end": nonce}])
    task = Http("10.0.0.1", 443, "/", headers={"Authorization": f"Bearer {TOKEN}"}, certificate="KEY")
    nonces = set()
    for _ in range(2):
        (found,) = ask(vantage, [task])
        nonces.add(vantage.specification["nonce"])
        assert TOKEN in vantage.asked[-1][1].decode()
        assert TOKEN not in " ".join(vantage.asked[-1][0])
        assert TOKEN not in str(found.evidence)
        assert "KEY" not in str(found.evidence)
    assert 2 == len(nonces)
    assert {"id": 0, **task.specification()} == vantage.specification["tasks"][0]


@pytest.mark.parametrize(
    ("count", "timeout", "least"), [(1, 2.0, 4.0), (1, 30.0, 60.0), (64, 2.0, 4.0), (256, 2.0, 16.0)]
)
def test_the_deadline_leaves_each_task_its_time(count: int, timeout: float, least: float) -> None:
    """Also where tasks have to wait for one another; with some to spare, and not for ever."""
    vantage = Scripted(lambda nonce: [*({"id": number, **OPEN} for number in range(count)), {"end": nonce}])
    ask(vantage, [Tcp("10.0.0.1", 80, timeout=timeout)] * count)
    assert least < vantage.asked[0][2] <= least + 10


def test_a_search_for_tokens_has_a_deadline_too() -> None:
    """It has no timeout of its own."""
    vantage = Scripted(lambda nonce: [{"id": 0, "outcome": "absent"}, {"end": nonce}])
    assert [Outcome.ABSENT] == [each.outcome for each in probe(vantage, [Tokens()])]
    assert 10 <= vantage.asked[0][2] <= 60


# -- the places -------------------------------------------------------------------------------------------------------


@dataclass
class Recorder:
    """A cluster that notes where something is run; it is its own API."""

    calls: list[Any] = field(default_factory=list)

    @property
    def api(self) -> Recorder:
        """Itself."""
        return self

    def exec(self, *given: Any, **more: Any) -> Completed:
        """Run in a pod."""
        self.calls.append((given, more))
        return Completed((), 0, b"", b"")

    def in_network_of(self, *given: Any, **more: Any) -> Completed:
        """Run in a node's network."""
        return self.exec(*given, **more)


def test_a_pod_is_entered_by_its_container() -> None:
    """Namespace, pod and container are those of the place."""
    cluster = Recorder()
    PodVantage(cast("Cluster", cluster), "ns", "pod", "main", HERE).execute(["x"], b"in", 3)
    assert [(("ns", "pod", ["x"]), {"container": "main", "stdin": b"in", "deadline": 3})] == cluster.calls


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("worker", Source("node", "worker", "172.18.0.3", "worker")),
        ("", Source("outside", "container on the nodes' network")),
    ],
)
def test_a_network_is_a_nodes_or_beside_them(name: str, expected: Source) -> None:
    """Evidence names which."""
    cluster = Recorder()
    node = cast("Node", type("OneNode", (), {"name": name, "address": "172.18.0.3"})) if name else None
    vantage = NetworkVantage(cast("Cluster", cluster), node)
    vantage.execute(["x"], b"in", 3)
    assert expected == vantage.source
    assert [((node, ["x"]), {"stdin": b"in", "deadline": 3})] == cluster.calls


@dataclass
class Asked:
    """A place that answers whatever it is asked, and remembers what that was."""

    name: str
    execs: list[list[str]] = field(default_factory=list)

    @property
    def source(self) -> Source:
        """Of its name."""
        return Source("pod", self.name)

    def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:
        """All open; the detail tells whom it was about."""
        _, rest = stdin.split(b"\n", 1)
        told = json.loads(rest[len(AGENT.read_bytes()) :].split(b"\n", 1)[1])
        self.execs.append([each["host"] for each in told["tasks"]])
        lines = [{"id": each["id"], "detail": each["host"], **OPEN} for each in told["tasks"]]
        said = "".join(json.dumps(line) + "\n" for line in [*lines, {"end": told["nonce"]}])
        return Completed(tuple(argv), 0, said.encode(), b"")


def test_a_place_that_many_ask_is_asked_once() -> None:
    """However many workloads' controls it stands for; what they have in common is done once, and answered to each."""
    free, twins = Asked("free"), [Asked(f"twin-{number}") for number in range(30)]
    asked = [
        (place, [Tcp("10.0.0.1", 80), Tcp(f"10.0.1.{number}", 80)])
        for number, twin in enumerate(twins)
        for place in (twin, free)
    ]
    found = probe_all(asked)
    assert [["10.0.0.1", f"10.0.1.{number}"] for number in range(30) for _ in range(2)] == [
        [each.detail for each in answers] for answers in found
    ]
    assert [31] == [len(each) for each in free.execs]
    assert {1} == {len(twin.execs) for twin in twins}
    assert [place.source for place, _ in asked] == [answers[0].source for answers in found]


def test_one_exec_has_no_more_than_so_many_tasks() -> None:
    """The rest comes after it, in order."""
    place = Asked("free")
    found = probe(place, [Tcp(f"10.0.{number}.1", 80) for number in range(600)])
    assert [256, 256, 88] == [len(each) for each in place.execs]
    assert [f"10.0.{number}.1" for number in range(600)] == [each.detail for each in found]


def test_what_a_busy_server_left_unanswered_is_asked_again_by_itself() -> None:
    """Few at a time; a server that answers nobody, and what no server has to work for, are not asked twice."""
    asked: list[dict[str, Any]] = []

    class Busy(Asked):
        """Answers the first of many, and anybody who comes in a small group."""

        def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:
            told = json.loads(stdin.split(b"\n", 1)[1][len(AGENT.read_bytes()) :].split(b"\n", 1)[1])
            asked.append(told)
            busy = [each["host"] == "dead" or (each["id"] > 0 and len(told["tasks"]) > 2) for each in told["tasks"]]
            outcomes = ["no-answer" if no_word else "open" for no_word in busy]
            lines = [{**OPEN, "id": number, "outcome": outcome} for number, outcome in enumerate(outcomes)]
            said = "".join(json.dumps(line) + "\n" for line in [*lines, {"end": told["nonce"]}])
            return Completed(tuple(argv), 0, said.encode(), b"")

    tasks: list[Task] = [
        Http("busy", 10250, "/0"),
        Http("busy", 10250, "/1"),
        Tcp("busy", 10250),
        Http("dead", 10250, "/"),
    ]
    found = [each.evidence.outcome for each in ask(Busy("free"), tasks)]
    assert [Outcome.OPEN, Outcome.OPEN, Outcome.NO_ANSWER, Outcome.NO_ANSWER] == found
    assert [["/0", "/1", None, "/"], ["/1"]] == [[each.get("path") for each in told["tasks"]] for told in asked]
    assert asked[1]["workers"] < asked[0]["workers"]


def test_a_pod_has_few_agents_at_a_time() -> None:
    """Each takes memory there: with one under way and another one beside it, a third has to wait."""
    room: list[bool] = []

    class Api:
        """Runs a command, and looks whether another one could run beside it."""

        def exec(self, *_: object, **__: object) -> Completed:
            room.append(place.room.acquire(blocking=False))
            return Completed((), 0, b"", b"")

    cluster = cast("Cluster", type("C", (), {"api": Api()}))
    place = PodVantage(cluster, "web", "p", "probe", HERE)
    with place.room:
        place.execute((), b"", 1)
    assert [False] == room
    place.execute((), b"", 1)
    assert [False, True] == room


def test_what_goes_over_the_network_is_sent_from_another_place_where_there_is_one() -> None:
    """Each answer stands where its task stood, and says from where it was sent; what is no traffic stays."""
    there = Source("pod", "web/db-0 (in its network)", "10.244.0.9", "worker")

    def says(outcome: str, count: int) -> Lines:
        return lambda nonce: [*({"id": at, "outcome": outcome} for at in range(count)), {"end": nonce, "count": count}]

    own, network = Scripted(says("absent", 1)), Scripted(says("refused", 2), source=there)
    twin = PodVantage(cast("Cluster", _Executing(own)), "web", "twin", "probe", HERE, network=network)
    answers = probe(twin, [Tcp("10.0.0.1", 80), Tokens(), Udp("10.0.0.2", 53)])
    assert [("refused", there), ("absent", HERE), ("refused", there)] == [(one.outcome, one.source) for one in answers]
    assert ["tcp", "udp"] == [task["op"] for task in network.specification["tasks"]]
    (away,) = probe_all([(twin, [Tcp("10.0.0.1", 80), Udp("10.0.0.2", 53)])])
    assert {there} == {one.source for one in away}
    assert 1 == len(own.asked), "nothing is left to be asked here"


@pytest.mark.parametrize(
    ("guessed", "denied", "outcome", "expected"),
    [
        (True, 3, "absent", Outcome.ERROR),
        (True, 0, "absent", Outcome.ABSENT),
        (False, 3, "absent", Outcome.ABSENT),
        (True, 3, "done", Outcome.DONE),
    ],
    ids=["guessed", "nothing-shut", "known", "found"],
)
def test_a_user_that_is_a_guess_has_not_found_nothing(
    guessed: bool, denied: int, outcome: str, expected: Outcome
) -> None:
    """Where something is shut to it, which the real one may read. What it did find is there."""
    said = {"id": 0, "outcome": outcome, "detail": "3 files read", "facts": {"denied": denied}}
    place = Scripted(lambda nonce: [said, {"end": nonce, "count": 1}])
    twin = PodVantage(cast("Cluster", _Executing(place)), "web", "twin", "probe", HERE, user_is_guessed=guessed)
    (found,) = probe(twin, [Tokens()])
    assert expected is found.outcome
    assert ("a guess" in found.detail) is (expected is Outcome.ERROR)
    assert "3 files read" in found.detail


@dataclass
class _Executing:
    """A cluster whose pods are that place."""

    place: Scripted

    @property
    def api(self) -> _Executing:
        """Itself."""
        return self

    def exec(
        self, _namespace: str, _pod: str, argv: Sequence[str], *, container: str, stdin: bytes, deadline: float
    ) -> Completed:
        """What that place says."""
        assert container == "probe"
        return self.place.execute(argv, stdin, deadline)
