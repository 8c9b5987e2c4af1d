"""Nodes that answer nobody: found out once, told as one case, and never held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_k8ssec.agent.tasks import Tcp
from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.kubelet.readonly import test_kubelet_readonly as readonly
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.nodes_in_reach import entered_nodes, nodes_in_reach, nodes_to_judge
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import FakeVantage, evidence

KUBELET = 10250


def real(number: int) -> Node:
    """One that is a container."""
    return Node(f"real-{number}", f"10.0.0.{number}", control_plane=not number, container=f"real-{number}")


def far(number: int, address: str | None = None) -> Node:
    """One that can't be entered."""
    return Node(f"far-{number}", f"10.1.0.{number}" if address is None else address, control_plane=False)


@dataclass
class Place:
    """A pool of pods, its cluster and its attacker in one; kubelets of containers answer, others as told."""

    nodes: tuple[Node, ...]
    answers: Callable[[str, int], Outcome] = lambda _host, _round: Outcome.NO_ANSWER
    """By address, and how often it was asked before."""
    by_server: Callable[[str], int] = lambda _path: 0
    """With what HTTP status the API server answers, by the path that it is asked for; 0 for no answer."""
    passed_on: list[str] = field(default_factory=list)
    execs: list[list[str]] = field(default_factory=list)
    shunned: set[str] = field(default_factory=set)

    @property
    def cluster(self) -> Place:
        """Itself."""
        return self

    @property
    def api(self) -> Place:
        """Itself."""
        return self

    def request(self, method: str, path: str, *, deadline: float) -> Response:
        """Passed on by the API server to a kubelet."""
        assert (method, True) == ("HEAD", deadline < 10)
        self.passed_on.append(path)
        if status := self.by_server(path):
            return Response(status, {}, 1.0)
        raise ClusterError(f"{method} {path}: no answer")

    def attacker(self) -> Place:
        """Itself."""
        return self

    def remember(self, _what: str, find_out: Callable[[], Any]) -> Any:
        """Found out each time."""
        return find_out()

    def shun(self, nodes: Iterable[str]) -> None:
        """Told by the probe."""
        self.shunned = set(nodes)

    def on_node(self, _node: Node, argv: Sequence[str]) -> Completed:
        """Nothing listens on more than loopback."""
        return Completed(tuple(argv), 0, b"", b"")

    def readonly(self) -> Judge:
        """What a control says that asks all nodes from each."""

        def said(task: dict[str, Any]) -> dict[str, Any]:
            return {"outcome": self._said(Tcp(task["host"], task["port"]), 0)}

        judge, here = Judge(), FakeVantage(said)
        readonly(
            judge, self.as_pool(), lambda node: cast("Any", SimpleNamespace(vantage=here, node=node)), cast("Any", here)
        )
        return judge

    def probe(self, *tasks: Tcp) -> list[Evidence]:
        """One exec."""
        before = [host for each in self.execs for host in each]
        self.execs.append([task.host for task in tasks])
        return [evidence(self._said(task, before.count(task.host)), str(task)) for task in tasks]

    def _said(self, task: Tcp, before: int) -> Outcome:
        if task.port != KUBELET:
            return Outcome.REFUSED
        known = {node.address for node in self.nodes if node.container}
        return Outcome.OPEN if task.host in known else self.answers(task.host, before)

    def as_pool(self) -> Pool:
        """Itself, as the type checker wants it."""
        return cast("Pool", self)


def test_nothing_is_sent_where_all_nodes_can_be_entered() -> None:
    """Each of them is judged by what it answers."""
    place = Place((real(0), real(1)))
    assert place.nodes == nodes_in_reach(place.as_pool()).answering
    assert [] == place.execs


def test_many_silent_nodes_cost_two_execs_in_all() -> None:
    """All are asked at once, and once more, since a lost packet is no silence."""
    place = Place((real(0), *(far(number) for number in range(200))))
    found = nodes_in_reach(place.as_pool())
    assert (real(0),) == found.answering
    assert [200, 200] == [len(each) for each in place.execs]
    assert 200 == len(place.passed_on)
    assert "200 nodes whose kubelets answer nobody: far-0, far-1, far-2 and 197 more" == found.words
    assert {node.name for node in found.silent} == place.shunned


def test_a_node_that_answers_is_judged_although_it_can_not_be_entered() -> None:
    """As on a cluster of somebody else's; it may need to be asked twice."""
    place = Place((far(0), far(1), far(2)), _late)
    found = nodes_in_reach(place.as_pool())
    assert ["/api/v1/nodes/far-2/proxy/healthz"] == place.passed_on
    assert ("far-0", "far-1") == tuple(node.name for node in found.answering)
    assert [["10.1.0.0", "10.1.0.1", "10.1.0.2"], ["10.1.0.1", "10.1.0.2"]] == place.execs


def _late(host: str, before: int) -> Outcome:
    return Outcome.OPEN if int(host.rpartition(".")[2]) <= before else Outcome.NO_ANSWER


@pytest.mark.parametrize(("status", "silent"), [
    (200, False), (500, False), (403, False), (401, False), (429, False),
    (404, True), (502, True), (503, True), (504, True), (0, True),
])  # fmt: skip
def test_a_kubelet_that_only_pods_do_not_reach_is_not_out_of_reach(status: int, silent: bool) -> None:
    """Commands in pods there come from the API server: what it gets an answer from, or may not be asked for, is no silence."""
    place = Place((real(0), far(0), far(1)), by_server=lambda path: 200 if "far-1" in path else status)
    found = nodes_in_reach(place.as_pool())
    assert ({"far-0"} if silent else set()) == place.shunned == {node.name for node in found.silent}
    assert "far-1" in {node.name for node in found.answering}
    assert silent == bool(found.evidence)
    if found.evidence:
        assert "the API server, asked for it: " in found.evidence.detail


def test_a_kubelet_that_only_pods_do_not_reach_is_judged_and_never_held() -> None:
    """Its own positive control is what fails, by its name."""
    verdict, reason = Place((real(0), far(0)), by_server=lambda _path: 200).readonly().verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert reason.startswith(
        "kubelet on far-0 (10.1.0.0) from pod k8ssec-1/attacker on worker: positive control failed: the same node's kubelet is in reach"
    )


def test_a_node_without_an_address_is_silent_and_not_dialled() -> None:
    """One that has only just registered has none."""
    place = Place((real(0), far(0, "")))
    assert ("far-0",) == tuple(node.name for node in nodes_in_reach(place.as_pool()).silent)
    assert ([], []) == (place.execs, place.passed_on)


@pytest.mark.parametrize("answer", [Outcome.NO_ANSWER, Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.ERROR])
def test_silent_nodes_are_one_case_that_can_not_be_held(answer: Outcome) -> None:
    """Whatever their silence looks like, and although what can be looked at holds."""
    place = Place((real(0), *(far(number) for number in range(9))), lambda _host, _before: answer)
    judge = place.readonly()
    verdict, reason = judge.verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert 1 == len(reason.splitlines())
    assert reason.startswith("9 nodes whose kubelets answer nobody: far-0, far-1, far-2 and 6 more: ")
    assert 3 == len(judge.cases)


def test_a_breach_of_a_node_that_answers_is_one_still() -> None:
    """What nobody knows of others does not hide it."""
    place, judge = Place((real(0), far(0))), Judge()
    (node,) = nodes_to_judge(judge, place.as_pool())
    judge.case(node.name).attack("enter", evidence(Outcome.OPEN), through=True)
    assert Verdict.BREACHED is judge.verdict()[0]


def test_nodes_that_can_not_be_entered_are_one_case_that_can_not_be_held() -> None:
    """What is read on nodes is not read there; where all can be entered there is no such case."""
    judge = Judge()
    assert (real(0),) == entered_nodes(judge, (real(0),))
    assert [] == judge.cases
    assert (real(0),) == entered_nodes(judge, (real(0), *(far(number) for number in range(5))))
    verdict, reason = judge.verdict()
    assert Verdict.INCONCLUSIVE is verdict
    assert reason.startswith("5 nodes that can't be entered: far-0, far-1, far-2 and 2 more: ")
