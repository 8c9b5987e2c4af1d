"""What users write, as they type it: each fixture under its type. mypy reads it under --strict, against the built wheel.

See tests/unit/repository/test_typing.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pytest_k8ssec import (
    JSON,
    Attacker,
    BlastRadius,
    Cluster,
    Evidence,
    Http,
    Judge,
    KindConfig,
    NetworkVantage,
    NodeHost,
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
    survey,
)


@control(severity=Severity.HIGH, subject="cluster")
def test_net_ledger(judge: Judge, attacker: Attacker, cluster: Cluster) -> None:
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


def _address(pod: JSON) -> str:
    """What the API server answers is read without a cast, as deep as it goes."""
    containers: list[str] = [container["image"] for container in pod["spec"]["containers"]]
    assert containers
    return str(pod["status"]["podIP"])


def test_answers_of_the_api_server(cluster: Cluster, attacker: Attacker) -> None:
    """Statuses, objects and lists."""
    answer = cluster.api.request("GET", "/api/v1/namespaces", params={"limit": "1"}, token="")
    status: int = answer.status
    assert status == 403, answer.message
    body = cluster.api.call("GET", "/api/v1/namespaces/web/pods/shop-0", deadline=5)
    pod = attacker("web", labels={"app": "shop"}, service_account="shop", automount=None, node="worker", seccomp="")
    (evidence,) = pod.probe(Tcp(_address(body), 8080))
    name: str = cluster.api.list("/api/v1/pods")[0]["metadata"]["name"]
    assert evidence.facts.get("name") == name


def test_files_of_nodes(nodes: Mapping[str, NodeHost]) -> None:
    """testinfra's hosts, of which it says no types itself."""
    for name, host in nodes.items():
        file = host.file("/etc/kubernetes/admin.conf")
        owner: str = file.user
        mode: int = file.mode
        assert (owner, mode) == ("root", 0o600), name
        assert host.run("test -e %s", "/etc").rc == 0


def test_by_fixtures(
    cluster: Cluster,
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
    seed: int | None = reachability.extent.seed
    assert survey(cluster, stack, pool, limit=float("inf"), seed=seed).extent.by_class == 0
    assert not blast_radius(workload).is_admin
    assert twin(workload).source
    assert outside.source.name not in allowed
    assert Verdict.HELD == Verdict("held")
    url: str = stack.outputs["url"]["host"]
    assert url
    assert workload.template["spec"]["containers"][0]["name"]
