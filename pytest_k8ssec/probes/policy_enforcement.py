"""Does the cluster's network enforce NetworkPolicies at all? Found out once, and every control of the network rests on it.

A policy object is accepted by every API server, whether or not anything enforces it, so two canary namespaces of ours are
cut off from each other and joined again, and traffic is sent at each step, over TCP and UDP, on each node and from each
node to the next, for ingress and for egress: the engine runs on every node by itself, and one may have stopped.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_k8ssec.agent.tasks import Task, Udp
from pytest_k8ssec.agent.vantage import probe_all
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.evidence import Evidence, Outcome, got_through
from pytest_k8ssec.pods.manifests import CANARY_PORT, PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.nodes_in_reach import nodes_in_reach

ENFORCE_SECONDS = 30
"""How long enforcement may take."""
SETTLE_SECONDS = 10
"""How long new pods of one request may run before the rules for them are in force."""
_TIMEOUT = 0.6
"""Seconds that one attempt waits: both ends are pods of ours on one machine or one network."""


DENY_INGRESS, DENY_EGRESS = "deny all ingress", "deny all egress"
NEAR, ACROSS = "same node", "across nodes"


@dataclass(frozen=True, slots=True)
class CanaryPath:
    """From a canary on one node to one on the same or on another."""

    source: str
    """The node that it leaves."""
    target: str
    protocol: str
    v6: bool = False

    @property
    def route(self) -> str:
        """``NEAR`` or ``ACROSS``."""
        return NEAR if self.source == self.target else ACROSS

    def __str__(self) -> str:
        return f"{self.protocol}, {self.route}{' by IPv6' if self.v6 else ''}"


@dataclass(frozen=True, slots=True)
class PolicyStep:
    """One state of the policies, and what came of each attempt in it."""

    name: str
    open_expected: bool
    attempts: tuple[tuple[CanaryPath, Evidence], ...]
    """(path, evidence) of the last attempts; the path reads ``TCP, same node``."""
    milliseconds: float
    """From the policy's creation until all attempts were as expected, or until time was up."""

    @property
    def as_expected(self) -> bool:
        """Whether every attempt was as expected."""
        return all(got_through(evidence) is self.open_expected for _, evidence in self.attempts)


def enforcement(pool: Pool) -> tuple[PolicyStep, ...]:
    """Apply and remove policies between canaries of ours, and watch the traffic; found out once.

    Raises:
        ProbeError: a canary did not start, or an exec broke.
    """
    return pool.remember("cni", lambda: tuple(_steps(pool)))


def enforces(pool: Pool) -> Evidence:
    """Whether policies are enforced, as one piece of evidence for controls that rest on it. Raises ProbeError."""
    steps = enforcement(pool)
    failed = [step for step in steps if not step.as_expected]
    first = (failed or list(steps))[0]
    words = "enforced" if not failed else f"{first.name}: not as expected"
    return replace(
        first.attempts[0][1],
        request="NetworkPolicies between two canary namespaces",
        outcome=Outcome.ABSENT if failed else Outcome.DONE,
        detail=words,
        status=None,
        latency_ms=first.milliseconds,
    )


def _steps(pool: Pool) -> Iterable[PolicyStep]:
    target_ns, source_ns = pool.namespace("cni-target"), pool.namespace("cni-source")
    nodes = [node.name for node in nodes_in_reach(pool).answering]
    pods = pool.lease(*(PodSpec(where, node=name, purpose="cni") for where in (target_ns, source_ns) for name in nodes))
    targets, sources = pods[: len(nodes)], pods[len(nodes) :]
    ring = [(source, _near(targets, number)) for number, source in enumerate(sources)]
    api = pool.cluster.api

    def attempts() -> tuple[tuple[CanaryPath, Evidence], ...]:
        tasks = [(source.vantage, [task for target in near for task in _tasks(target)]) for source, near in ring]
        paths = [path for source, near in ring for target in near for path in _paths(source, target)]
        return tuple(zip(paths, (each for answers in probe_all(tasks) for each in answers), strict=True))

    yield _await("no policy", attempts, open_expected=True)
    with api.applied(_policy("k8ssec-deny-ingress", target_ns, "Ingress")):
        yield _await(DENY_INGRESS, attempts, open_expected=False)
        admit = {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": source_ns}}}]}
        with api.applied(_policy("k8ssec-admit", target_ns, "Ingress", ingress=[admit])):
            yield _await("admit the source's namespace", attempts, open_expected=True)
    with api.applied(_policy("k8ssec-deny-egress", source_ns, "Egress")):
        yield _await(DENY_EGRESS, attempts, open_expected=False)
    yield _await("no policy again", attempts, open_expected=True)


def _near(targets: Sequence[Pod], number: int) -> Sequence[Pod]:
    """The target on one node, and the one on the node beside it where there is another."""
    return [targets[number], targets[number - 1]] if len(targets) > 1 else targets


def _tasks(target: Pod) -> list[Task]:
    """Both protocols at each of its addresses: an engine may know of one family only."""
    datagrams = [Udp(address, CANARY_PORT, timeout=_TIMEOUT) for address in target.addresses]
    return [*(replace(each, timeout=_TIMEOUT) for each in target.canaries), *datagrams]


def _paths(source: Pod, target: Pod) -> list[CanaryPath]:
    return [
        CanaryPath(source.source.node, target.source.node, protocol, v6=":" in address)
        for protocol in ("TCP", "UDP")
        for address in target.addresses
    ]


def _await(
    name: str, attempts: Callable[[], tuple[tuple[CanaryPath, Evidence], ...]], *, open_expected: bool
) -> PolicyStep:
    """Try again until all attempts are as expected, or patience ends: enforcement takes its time, and that is measured."""
    started = time.monotonic()
    while True:
        tried = attempts()
        spent = time.monotonic() - started
        step = PolicyStep(name, open_expected, tried, round(spent * 1000, 1))
        if step.as_expected or spent > ENFORCE_SECONDS:
            return step


def await_canary(source: Pod, target: Pod, *, reachable: bool) -> Evidence:
    """Try to reach a pod of ours from another one until the result is as expected, or time is up.

    Returns:
        the last attempt's evidence.

    Raises:
        ProbeError: an exec broke.
    """
    return await_task(source, target.canary, reachable=reachable)


def await_task(source: Pod, task: Task, *, reachable: bool) -> Evidence:
    """Do a task from a pod until it gets through, or no longer does, or time is up; returns the last evidence.

    Raises:
        ProbeError: an exec broke.
    """
    nowhere = CanaryPath("", "", "")
    return _await("", lambda: ((nowhere, source.probe(task)[0]),), open_expected=reachable).attempts[0][1]


def settle(sources: Sequence[Pod], target: Pod) -> None:
    """Give the policy engine time to take up new pods: until none of them reaches the target, or time is up.

    Nothing is concluded from how it ends: pods that no policy blocks go on reaching the target.

    Raises:
        ProbeError: an exec broke.
    """
    end = time.monotonic() + SETTLE_SECONDS
    tasks = [replace(each, timeout=_TIMEOUT) for each in target.canaries]
    for source in sources:
        while any(map(got_through, source.probe(*tasks))) and time.monotonic() < end:
            pass


def _policy(name: str, namespace: str, direction: str, **rules: Any) -> Body:
    spec: Body = {"podSelector": {}, "policyTypes": [direction], **rules}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def allow_all_ingress(namespace: str) -> Body:
    """The policy that opens a namespace to everybody, whatever other policies say: policies add up."""
    return _policy(f"k8ssec-allow-all-ingress-{secrets.token_hex(3)}", namespace, "Ingress", ingress=[{}])


def allow_egress(namespace: str, *addresses: str) -> Body:
    """The policy that lets all pods of a namespace out, to these addresses or (none) to everywhere."""
    to = {"to": [{"ipBlock": {"cidr": f"{address}/{128 if ':' in address else 32}"}} for address in addresses]}
    return _policy(f"k8ssec-allow-egress-{secrets.token_hex(3)}", namespace, "Egress", egress=[to if addresses else {}])


def allow_egress_to_pods(namespace: str, port: int) -> Body:
    """The policy that lets all pods of a namespace out to all pods of the cluster, on one TCP port."""
    rule = {"to": [{"namespaceSelector": {}}], "ports": [{"port": port, "protocol": "TCP"}]}
    return _policy(f"k8ssec-allow-egress-{secrets.token_hex(3)}", namespace, "Egress", egress=[rule])
