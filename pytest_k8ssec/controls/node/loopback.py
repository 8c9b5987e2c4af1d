"""What a node's components say to each other on loopback can't be heard from pods.

The health endpoint of the kubelet, and the metrics of kube-proxy, the controller manager and the scheduler, reveal a
cluster's internals, and are meant for their own node: 10248 and 10249 ask for no credentials at all. A pod on each node
connects to these ports at each address of each node. A refused connection counts only where the same pod reaches the same node's kubelet,
and where nodes can be entered, only for a port that answers on that node's own loopback at the same time.

Port 10256, kube-proxy's health, is open to all by design: load balancers ask it.

Remediation: bind them to 127.0.0.1: `healthzBindAddress` of the kubelet, `metricsBindAddress` of kube-proxy,
`--bind-address` of the controller manager and of the scheduler.

```yaml
# kind.yaml
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    controllerManager:
      extraArgs:
        bind-address: 127.0.0.1
    scheduler:
      extraArgs:
        bind-address: 127.0.0.1
  - |
    kind: KubeletConfiguration
    healthzBindAddress: 127.0.0.1
  - |
    kind: KubeProxyConfiguration
    metricsBindAddress: 127.0.0.1:10249
```

Sources: CIS Kubernetes Benchmark 1.3.7, 1.4.2, 4.3.1; https://kubernetes.io/docs/reference/networking/ports-and-protocols/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product

from pytest_k8ssec.agent.tasks import Tcp
from pytest_k8ssec.agent.vantage import NetworkVantage, probe, probe_all
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.ports import KUBELET_PORT
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence, Outcome, got_through
from pytest_k8ssec.facts.node import control_planes, listeners, node_source
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.nodes_in_reach import nodes_to_judge
from pytest_k8ssec.verdict import Case, Judge

_PORTS = {10248: "kubelet", 10249: "kube-proxy", 10257: "kube-controller-manager", 10259: "kube-scheduler"}
_LOOPBACK = ("127.0.0.1", "::1")


@control(
    severity=Severity.MEDIUM,
    subject="cluster",
    cis=("1.3.7", "1.4.2", "4.3.1"),
    mitre=("T1046",),
    others=("C-0150", "C-0291"),
    dimensions=("source", "node", "address", "port"),
)
def test_node_loopback(judge: Judge, cluster: Cluster, pool: Pool, attacker: Callable[..., Pod]) -> None:
    """Connect to each of these ports at each node's addresses, from a pod on each node."""
    nodes = nodes_to_judge(judge, pool)
    for near, node in product(nodes, nodes):
        for address, port in product(node.addresses, _PORTS):
            judge.coverage.exists(source=f"pod on {near.name}", node=node.name, address=address, port=port)
    cases: dict[tuple[str, int], Case] = {}
    for node in nodes:
        listening = _on_loopback(cluster, node)
        for port, by in _PORTS.items():
            cases[node.name, port] = judge.case(f"{by} on {node.name}, port {port}", required=False)
        for port, shown in listening.items():
            cases[node.name, port].positive("it listens on loopback", shown, succeeded=shown.outcome is Outcome.OPEN)
    places = [(node, address) for node in nodes for address in node.addresses]
    tasks = [Tcp(address, port) for _, address in places for port in (KUBELET_PORT, *_PORTS)]
    sources = [attacker(node=node.name) for node in nodes]
    for source, told in zip(sources, probe_all([(each.vantage, tasks) for each in sources]), strict=True):
        answers = iter(told)
        for node, address in places:
            _judged(cases, source.source.place, node, address, next(answers), [next(answers) for _ in _PORTS])


def _judged(
    cases: Mapping[tuple[str, int], Case],
    source: str,
    node: Node,
    address: str,
    near: Evidence,
    answers: Sequence[Evidence],
) -> None:
    """Record what a pod was told at one address of a node.

    Args:
        source: where the pod is.
        near: by the node's kubelet.
    """
    for port, answer in zip(_PORTS, answers, strict=True):
        case = cases[node.name, port]
        # Out of reach it proves nothing: never a reason to leave the port out.
        case.positive("the pod reaches the node's kubelet", near, succeeded=near.outcome is Outcome.OPEN or None)
        at = {"source": source, "node": node.name, "address": address, "port": port}
        case.attack(f"connect to port {port}", answer, through=got_through(answer), at=at)


def _on_loopback(cluster: Cluster, node: Node) -> Mapping[int, Evidence]:
    """What each port says on the node's own loopback; nothing where the node can't be entered."""
    if not node.container:
        return {}
    answers = probe(NetworkVantage(cluster, node), [Tcp(host, port) for host in _LOOPBACK for port in _PORTS])
    found: dict[int, Evidence] = {}
    for port, answer in zip([*_PORTS] * len(_LOOPBACK), answers, strict=True):
        # Where the cluster has IPv6 only, its components listen on that loopback.
        if port not in found or answer.outcome is Outcome.OPEN:
            found[port] = answer
    return found


def _hears_all(process: str, port: int) -> Callable[[Cluster], Evidence]:
    """Proof that a process listens on all addresses."""

    def proof(cluster: Cluster) -> Evidence:
        (node, *_) = control_planes(cluster)
        if not any(each.port == port and each.host == "*" for each in listeners(cluster, node, process)):
            raise SabotageError(f"{process} on {node.name}: does not listen on all addresses, port {port}")
        return Evidence(node_source(node), f"listening sockets of {process}: *:{port}", Outcome.DONE)

    return proof


@sabotage(
    test_node_loopback,
    proof=_hears_all("kube-controller-manager", 10257),
    shows=("connect to port 10257",),
    kills={"ext-ports": ("connect to port 10257",)},
)
def open_controller_manager(config: KindConfig) -> None:
    """The controller manager listens on all addresses."""
    config.patch("ClusterConfiguration", {"controllerManager": {"extraArgs": {"bind-address": "0.0.0.0"}}})  # noqa: S104


@sabotage(
    test_node_loopback,
    proof=_hears_all("kube-proxy", 10249),
    shows=("connect to port 10249",),
    kills={"ext-ports": ("connect to port 10249",)},
)
def open_proxy_metrics(config: KindConfig) -> None:
    """kube-proxy serves its metrics on all addresses."""
    config.patch("KubeProxyConfiguration", {"metricsBindAddress": "0.0.0.0:10249"})
