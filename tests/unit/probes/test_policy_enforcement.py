"""Whether policies are enforced is asked of every node: each has an engine of its own, and one may have stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.evidence import Outcome, Source
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.policy_enforcement import enforcement


class FakeNetwork:
    """Nodes whose engine does what canaries' policies say; it is a pool, its cluster and its API too."""

    def __init__(self, count: int) -> None:
        self.nodes = [SimpleNamespace(name=f"node-{number}", container="a") for number in range(count)]
        self.cluster = self.api = self
        self.policies: list[str] = []
        self.ways: set[tuple[str, str]] = set()
        self.further: tuple[str, ...] = ()

    def namespace(self, purpose: str) -> str:
        """Its name."""
        return purpose

    def remember(self, _what: str, find_out: Callable[[], Any]) -> Any:
        """Found out each time."""
        return find_out()

    @contextmanager
    def applied(self, policy: Body) -> Iterator[None]:
        """In force at once."""
        self.policies.append(policy["metadata"]["name"])
        yield
        self.policies.remove(policy["metadata"]["name"])

    def lease(self, *specs: PodSpec) -> list[Pod]:
        """A pod each, whose address tells its node."""
        return [
            Pod(cast("Any", FakeVantage(self, spec.node)), f"{spec.namespace} {spec.node}", "n", further=self.further)
            for spec in specs
        ]

    @property
    def stopped(self) -> bool:
        """Whether the policies in force stop all traffic."""
        return bool(self.policies) and "k8ssec-admit" not in self.policies


class FakeVantage:
    """A pod on a node."""

    def __init__(self, network: FakeNetwork, node: str) -> None:
        self.network = network
        self.source = Source("pod", node, node, node)

    def execute(self, argv: Sequence[str], stdin: bytes, _deadline: float) -> Completed:
        """The agent's answers."""
        told = json.loads(stdin.rpartition(b"\n")[2])
        self.network.ways |= {(self.source.node, task["host"]) for task in told["tasks"]}
        stopped = {task["id"]: self.network.stopped and ":" not in task["host"] for task in told["tasks"]}
        outcomes = ({"id": at, "outcome": "no-answer" if silent else "open"} for at, silent in stopped.items())
        lines = [*outcomes, {"end": told["nonce"]}]
        return Completed(tuple(argv), 0, "\n".join(map(json.dumps, lines)).encode(), b"")


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_node_is_left_and_entered(count: int) -> None:
    """By the pods on it, and from and to the next one; over TCP and UDP at each step."""
    network = FakeNetwork(count)
    steps = enforcement(cast("Pool", network))
    assert all(step.as_expected for step in steps)
    assert [True, False, True, False, True] == [step.open_expected for step in steps]
    names = {node.name for node in network.nodes}
    across = {(source, target) for source, target in network.ways if source != target}
    assert {(name, name) for name in names} == network.ways - across
    assert ({source for source, _ in across}, {target for _, target in across}) == (
        (names, names) if count > 1 else (set(), set())
    )
    for step in steps:
        assert count * (4 if count > 1 else 2) == len(step.attempts)
        for path, evidence in step.attempts:
            near = "same node" if evidence.request.rpartition(":")[0].endswith(evidence.source.node) else "across nodes"
            assert near == path.route
            assert Outcome.OPEN is evidence.outcome or not step.open_expected


def test_an_engine_that_knows_of_ipv4_only_enforces_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pods have an address of the other family too, all of them are open by that."""
    monkeypatch.setattr("pytest_k8ssec.probes.policy_enforcement.ENFORCE_SECONDS", 0)
    network = FakeNetwork(1)
    network.further = ("fd00::7",)
    steps = {step.name: step for step in enforcement(cast("Pool", network))}
    assert not steps["deny all ingress"].as_expected
    assert ["TCP, same node by IPv6", "UDP, same node by IPv6"] == [
        str(path) for path, each in steps["deny all ingress"].attempts if each.outcome is Outcome.OPEN
    ]
