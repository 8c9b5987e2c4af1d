"""The kubelet serves nothing without credentials on its read-only port.

Port 10255 speaks plain HTTP and knows no credentials: it lists every pod of its node, with names, images, environment
and service accounts, to whoever asks. On every node a pod asks this port for the pods. Any HTTP answer is a breach. So
is a connection that opens, as a kubelet may be slow to answer. A refused connection is believed because the same pod
reaches the same node's port 10250 at that moment.

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

from collections.abc import Callable

from pytest_k8ssec.agent.tasks import Http, Tcp
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters import ports
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import STOPPED, Evidence, Outcome
from pytest_k8ssec.facts.node import listeners, node_source
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.nodes_in_reach import nodes_to_judge
from pytest_k8ssec.verdict import Judge

_PORT = 10255
_THROUGH = {Outcome.HTTP: True, Outcome.OPEN: True, **dict.fromkeys(STOPPED, False)}


@control(severity=Severity.HIGH, subject="cluster", cis=("4.2.4",), others=("KHV052", "C-0175"), apart=True)
def test_kubelet_readonly(judge: Judge, pool: Pool, attacker: Callable[..., Pod]) -> None:
    """Ask every node's kubelet for its pods on the read-only port, from a pod."""
    for node, address in ((each, address) for each in nodes_to_judge(judge, pool) for address in each.addresses):
        answer, connection, shown = attacker().probe(
            Http(address, _PORT, "/pods", tls=False),
            Tcp(address, _PORT),
            Tcp(address, ports.KUBELET_PORT),
        )
        case = judge.case(f"kubelet on {node.name} ({address})")
        case.attack("GET /pods", answer, through=_THROUGH.get(answer.outcome))
        case.attack("connect", connection, through=_THROUGH.get(connection.outcome))
        case.positive("the same node's kubelet is in reach", shown, succeeded=shown.outcome is Outcome.OPEN)


def _serves(cluster: Cluster) -> Evidence:
    node = cluster.nodes[0]
    if not any(each.port == _PORT for each in listeners(cluster, node, "kubelet")):
        raise SabotageError(f"kubelet on {node.name}: does not listen on {_PORT}")
    return Evidence(node_source(node), f"listening sockets of kubelet: {_PORT}", Outcome.DONE)


@sabotage(test_kubelet_readonly, proof=_serves, kills=("ext-ports",))
def read_only_port(config: KindConfig) -> None:
    """The kubelets serve their read-only port."""
    config.kubelet(readOnlyPort=_PORT)
