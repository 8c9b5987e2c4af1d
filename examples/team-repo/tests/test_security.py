"""What the store promises beside what every cluster should: who talks to whom, and who has the key of the bank."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_k8ssec import Cluster, Evidence, Judge, Outcome, Pod, Reachability, Secret, Stack, Tcp, Workload

BLOCKED = {Outcome.REFUSED, Outcome.NO_ANSWER, Outcome.UNREACHABLE}
BROKER_PORT = 5672


def got_through(answer: Evidence) -> bool | None:
    """None where neither can be said: then the verdict is inconclusive."""
    if answer.outcome is Outcome.OPEN:
        return True
    return False if answer.outcome in BLOCKED else None


def test_only_the_cart_reaches_the_broker(
    judge: Judge, cluster: Cluster, stack: Stack, twin: Callable[[Workload], Pod]
) -> None:
    """Orders come from the cart alone: not from the front, where customers are, nor from the search."""
    workloads: Mapping[str, Workload] = {each.name: each for each in stack.workloads()}
    broker = Tcp(cluster.api.get("/api/v1/namespaces/data/pods/broker-0")["status"]["podIP"], BROKER_PORT)
    dns = Tcp("kube-dns.kube-system.svc", 53)
    listens = twin(workloads["cart"]).probe(broker)[0]
    for name in ("front", "search", "thumbnails", "mirror"):
        answer, shown = twin(workloads[name]).probe(broker, dns)
        case = judge.case(f"broker, from {name}")
        case.attack("connect", answer, through=got_through(answer))
        case.positive("the broker listens, and lets the cart in", listens, succeeded=listens.outcome is Outcome.OPEN)
        case.positive("this pod can reach what it may", shown, succeeded=shown.outcome is Outcome.OPEN)


def test_nobody_else_talks_to_anybody(reachability: Reachability) -> None:
    """As infra/intent.yaml says."""
    assert reachability.nothing_else_than("infra/intent.yaml")


def test_the_key_is_no_output(stack: Stack) -> None:
    """Outputs are read by other programs; a secret one would still be none of theirs."""
    assert not any(isinstance(value, Secret) for value in stack.outputs.values())
