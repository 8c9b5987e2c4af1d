"""etcd's ports can't be reached from pods, nor from beside the cluster.

What can't be reached needs no lock. Nothing but API servers has a reason to talk to etcd, yet kubeadm lets it listen on the
node's own address, where one mistake with certificates (or one hole in etcd) gives the cluster to every pod, and to the
whole internet where nodes have public addresses. TCP connections to etcd's client and peer ports, and to each further one
that its process listens on, are tried from a pod on each node and from a container beside the nodes. A connection that
opens is a breach, whatever etcd would have asked for next.

The results count because at that moment the same source finds the node's API server at the same address, and recognises
it by the cluster's CA: in some networks a proxy accepts connections to any address. A port that docker publishes is not
tried here, as docker's proxy accepts before it knows whether something listens behind it.

Remediation: with one control plane let etcd listen on loopback only (`listen-client-urls`, `listen-peer-urls`); with
several, put a firewall before 2379 and 2380 that lets control-plane nodes through and nobody else.

```yaml
# kind.yaml, with one control plane
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    etcd:
      local:
        extraArgs:
          listen-client-urls: https://127.0.0.1:2379
          advertise-client-urls: https://127.0.0.1:2379
          listen-peer-urls: https://127.0.0.1:2380
```

Sources: https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/#securing-etcd-clusters;
OWASP Kubernetes Top Ten 2025, K06
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from pytest_k8ssec.agent.tasks import Tcp, Trust
from pytest_k8ssec.agent.vantage import NetworkVantage, Vantage, probe
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.ports import API_SERVER_PORT
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence, Outcome, got_through
from pytest_k8ssec.facts.node import control_planes, listeners, node_source
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.etcd import CLIENTS, PEERS, own_ports
from pytest_k8ssec.probes.nodes_in_reach import nodes_to_judge
from pytest_k8ssec.verdict import Judge


@control(severity=Severity.HIGH, subject="cluster", mitre=("T1133",), owasp=("K06:2025",), apart=True)
def test_etcd_exposed(
    judge: Judge, cluster: Cluster, pool: Pool, attacker: Callable[..., Pod], outside: NetworkVantage
) -> None:
    """Connect to etcd's ports on each control-plane node, from a pod on each node and from beside the nodes."""
    ca = cluster.api.ca_file.read_text()
    sources: list[Vantage] = [*(attacker(node=node.name).vantage for node in nodes_to_judge(judge, pool)), outside]
    for node in (node for node in cluster.nodes if node.control_plane):
        ports = sorted({CLIENTS.port, PEERS.port, *own_ports(cluster, node)})
        for source, address in product(sources, node.addresses):
            known, *answers = probe(
                source,
                [
                    Trust(address, API_SERVER_PORT, ca, "the cluster's CA"),
                    *(Tcp(address, port) for port in ports),
                ],
            )
            case = judge.case(f"etcd on {node.name} ({address}) from {source.source}")
            reached = known.outcome is Outcome.OPEN
            case.positive("this node's API server answers at this address", known, succeeded=reached)
            for port, answer in zip(ports, answers, strict=True):
                case.attack(f"connect to port {port}", answer, through=got_through(answer) if reached else None)


def _listens_everywhere(cluster: Cluster) -> Evidence:
    (node, *_) = control_planes(cluster)
    if not any(each.port == CLIENTS.port and each.host == "*" for each in listeners(cluster, node, "etcd")):
        raise SabotageError(f"etcd on {node.name}: does not listen for clients on all addresses")
    return Evidence(node_source(node), f"listening sockets of etcd: *:{CLIENTS.port}", Outcome.DONE)


@sabotage(test_etcd_exposed, proof=_listens_everywhere, kills=("ext-ports",))
def etcd_on_all_addresses(config: KindConfig) -> None:
    """etcd listens for clients on all of the node's addresses."""
    config.etcd(listen_client_urls=f"https://0.0.0.0:{CLIENTS.port}")
