"""The kubelet serves nothing without credentials on its read-only port.

Port 10255 speaks plain HTTP and knows no credentials: it lists every pod of its node, with names, images, environment
and service accounts, to whoever asks. On every node a pod asks this port for the pods. Any HTTP answer is a breach. So
is a connection that opens, as a kubelet may be slow to answer. A refused connection is believed because the same pod
reaches the same node's port 10250 at that moment.

The port may be another one, and somebody may hand on to it. So each other TCP port that a node listens on, on more than
loopback, is asked for the pods too: there only a list of pods is a breach. Where a node can't be entered, nobody knows
what listens there, and the control can't be held.

Remediation: set `readOnlyPort: 0` in every node's KubeletConfiguration.

```yaml
# kind.yaml
kubeadmConfigPatches:
  - |
    kind: KubeletConfiguration
    readOnlyPort: 0
```

Sources: CIS Kubernetes Benchmark 4.2.4; https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_k8ssec.agent.tasks import Http, Task, Tcp
from pytest_k8ssec.agent.vantage import Answer
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.ports import KUBELET_PORT
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import STOPPED, Evidence, Outcome
from pytest_k8ssec.facts.node import heard_by_others, listeners, node_source
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.nodes_in_reach import entered_nodes, nodes_to_judge
from pytest_k8ssec.verdict import Judge

_PORT, _OTHER_PORT = 10255, 8255
_THROUGH = {Outcome.HTTP: True, Outcome.OPEN: True, **dict.fromkeys(STOPPED, False)}
_PODS, _PODS_BYTES = '"PodList"', 200
"""What a list of pods has, and within how many bytes."""


@control(severity=Severity.HIGH, subject="cluster", cis=("4.2.4",), others=("KHV052", "C-0175"), apart=True)
def test_kubelet_readonly(judge: Judge, pool: Pool, attacker: Callable[..., Pod]) -> None:
    """Ask every node's kubelet for its pods on the read-only port, and whatever else listens there, from a pod."""
    nodes = nodes_to_judge(judge, pool)
    places = [
        (node, address, ports) for node in nodes for ports in [_further(pool, node)] for address in node.addresses
    ]
    # All at once: what listens and says nothing is waited for.
    told = iter(attacker().ask(*(task for _, address, ports in places for task in _asked(address, ports))))
    for node, address, further in places:
        answer, connection, shown, *others = [next(told) for _ in _asked(address, further)]
        case = judge.case(f"kubelet on {node.name} ({address})")
        case.attack("GET /pods", answer.evidence, through=_THROUGH.get(answer.evidence.outcome))
        case.attack("connect", connection.evidence, through=_THROUGH.get(connection.evidence.outcome))
        for port, other in zip(further, others, strict=True):
            case.attack(f"GET /pods on port {port}", other.evidence, through=_gives_pods(other))
        reached = shown.evidence.outcome is Outcome.OPEN
        case.positive("the same node's kubelet is in reach", shown.evidence, succeeded=reached)
    entered_nodes(judge, nodes)


def _further(pool: Pool, node: Node) -> list[int]:
    """The other ports that a node listens on for others; none where it can't be entered. Raises ProbeError."""
    heard = heard_by_others(pool.cluster, node) if node.container else []
    return sorted({each.port for each in heard} - {_PORT})


def _asked(address: str, further: Sequence[int]) -> list[Task]:
    return [
        Http(address, _PORT, "/pods", tls=False),
        Tcp(address, _PORT),
        Tcp(address, KUBELET_PORT),
        *(Http(address, port, "/pods", tls=False, keep=_PODS_BYTES) for port in further),
    ]


def _gives_pods(answer: Answer) -> bool:
    """What speaks TLS, or something else than HTTP, gives no pods in plain text."""
    return answer.evidence.status == 200 and _PODS in answer.raw.get("body", "")


def _serves(port: int) -> Callable[[Cluster], Evidence]:
    """Proof that the kubelet of the first node listens on a port."""

    def proof(cluster: Cluster) -> Evidence:
        node = cluster.nodes[0]
        if not any(each.port == port for each in listeners(cluster, node, "kubelet")):
            raise SabotageError(f"kubelet on {node.name}: does not listen on {port}")
        return Evidence(node_source(node), f"listening sockets of kubelet: {port}", Outcome.DONE)

    return proof


@sabotage(test_kubelet_readonly, proof=_serves(_PORT), kills={"ext-ports": (f"connect to port {_PORT}",)})
def read_only_port(config: KindConfig) -> None:
    """The kubelets serve their read-only port."""
    config.kubelet(readOnlyPort=_PORT)


@sabotage(test_kubelet_readonly, proof=_serves(_OTHER_PORT), kills={"ext-ports": (f"connect to port {_OTHER_PORT}",)})
def read_only_port_elsewhere(config: KindConfig) -> None:
    """The kubelets serve their read-only port at another number."""
    config.kubelet(readOnlyPort=_OTHER_PORT)
