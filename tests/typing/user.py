"""What users write, as they type it: mypy reads it under --strict, nobody runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pytest_k8ssec import (
    BlastRadius,
    Cluster,
    Evidence,
    Http,
    Judge,
    KindConfig,
    NetworkVantage,
    Outcome,
    Pod,
    PodSpec,
    Pool,
    Reachability,
    SabotageError,
    Severity,
    Source,
    Stack,
    Tcp,
    Verdict,
    Workload,
    blocked,
    control,
    got_through,
    sabotage,
)


@control(severity=Severity.HIGH, subject="cluster")
def test_net_ledger(judge: Judge, attacker: Callable[..., Pod], cluster: Cluster) -> None:
    """A control of a team's own, with a positive control beside its attack."""
    answer, shown = attacker().probe(Tcp("10.0.0.1", 8080), Http(cluster.nodes[0].address, 6443, "/livez"))
    case = judge.case("the ledger")
    case.attack("connect", answer, through=got_through(answer))
    case.positive("the API server answers", shown, succeeded=shown.outcome is Outcome.HTTP)


@sabotage(test_net_ledger)
def ledger_open(cluster: Cluster) -> Iterator[Evidence]:
    """The ledger lets everybody in."""
    if not cluster.ours:
        raise SabotageError("ledger: is not ours to open")
    yield Evidence(Source("client", "this process"), "opened", Outcome.DONE)


def _proof(cluster: Cluster) -> Evidence:
    return Evidence(Source("node", cluster.nodes[0].name), "looked", Outcome.DONE)


@sabotage(test_net_ledger, proof=_proof)
def ledger_open_from_the_start(config: KindConfig) -> None:
    """The cluster is made with an open ledger."""
    config.kubelet(readOnlyPort=10255)


def test_by_fixtures(
    stack: Stack,
    deployed: Stack | None,
    pool: Pool,
    twin: Callable[[Workload], Pod],
    outside: NetworkVantage,
    reachability: Reachability,
    blast_radius: BlastRadius,
    allowed: Mapping[str, str],
) -> None:
    """Each further fixture under the type that it has."""
    (workload, *_) = stack.workloads()
    (pod,) = pool.lease(PodSpec(workload.namespace, purpose="mine"))
    stopped: bool | None = blocked(pod.probe(Tcp("10.0.0.1", 80))[0])
    assert stopped is not False
    assert deployed is not None
    assert reachability.between("web", "payments/api").is_blocked()
    assert not blast_radius(workload).is_admin
    assert twin(workload).source
    assert outside.source.name not in allowed
    assert Verdict.HELD == Verdict("held")
