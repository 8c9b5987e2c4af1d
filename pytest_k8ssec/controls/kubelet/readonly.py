"""The kubelet serves nothing without credentials on its read-only port.

Port 10255 speaks plain HTTP and knows no credentials: it lists every pod of its node, with names, images, environment
and service accounts, to whoever asks. Every node is asked for its pods on this port, at each of its addresses, by a pod on
each node and from beside the nodes. Any HTTP answer is a breach. So is a connection that opens, as a kubelet may be slow
to answer. A refused connection is believed because the same node's port 10250 is in reach from there at that moment.

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
from itertools import product

from pytest_k8ssec.agent.tasks import Http, Task, Tcp
from pytest_k8ssec.agent.vantage import Answer, NetworkVantage, Vantage, ask_all
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.ports import KUBELET_PORT
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import STOPPED, Evidence, Outcome
from pytest_k8ssec.evidence.causes import FieldCheck, Setting
from pytest_k8ssec.facts.node import heard_by_others, listeners, node_source
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.nodes_in_reach import entered_nodes, nodes_to_judge
from pytest_k8ssec.verdict import Judge

_PORT, _OTHER_PORT = 10255, 8255
_THROUGH = {Outcome.HTTP: True, Outcome.OPEN: True, **dict.fromkeys(STOPPED, False)}
_PODS, _PODS_BYTES = '"PodList"', 200
"""What a list of pods has, and within how many bytes."""


_SET_WRONG = Setting("kubelet", FieldCheck((("readOnlyPort",),)))


@control(
    severity=Severity.HIGH,
    subject="cluster",
    cis=("4.2.4",),
    others=("KHV052", "C-0175"),
    apart=True,
    dimensions=("source", "node", "address", "port"),
    blames=(Setting,),
)
def test_kubelet_readonly(judge: Judge, pool: Pool, attacker: Callable[..., Pod], outside: NetworkVantage) -> None:
    """Ask every node for its pods on the read-only port, and on whatever else listens there."""
    nodes = nodes_to_judge(judge, pool)
    sources: list[Vantage] = [*(attacker(node=node.name).vantage for node in nodes), outside]
    doors = [(node, address, ports) for node in nodes for ports in [_further(pool, node)] for address in node.addresses]
    for source, (node, address, further) in product(sources, doors):
        for port in (_PORT, *further):
            judge.coverage.exists(source=source.source.place, node=node.name, address=address, port=port)
    # All at once: what listens and says nothing is waited for.
    told = ask_all(sources, [task for _, address, ports in doors for task in _asked(address, ports)])
    for source, answers in zip(sources, told, strict=True):
        rest = iter(answers)
        for node, address, further in doors:
            _judged(judge, source, node, address, further, [next(rest) for _ in _asked(address, further)])
    entered_nodes(judge, nodes)


def _judged(
    judge: Judge, source: Vantage, node: Node, address: str, further: Sequence[int], answers: Sequence[Answer]
) -> None:
    """Record what one source was told at one address, in the order in which it asked."""
    answer, connection, shown, *others = answers
    where = {"source": source.source.place, "node": node.name, "address": address}
    case = judge.case(f"kubelet on {node.name} ({address}) from {source.source}", causes=[_SET_WRONG])
    for what, told in (("GET /pods", answer.evidence), ("connect", connection.evidence)):
        case.attack(what, told, through=_THROUGH.get(told.outcome), at={**where, "port": _PORT})
    for port, other in zip(further, others, strict=True):
        case.attack(f"GET /pods on port {port}", other.evidence, through=_gives_pods(other), at={**where, "port": port})
    reached = shown.evidence.outcome is Outcome.OPEN
    case.positive("the same node's kubelet is in reach", shown.evidence, succeeded=reached)


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
