"""etcd's ports can't be reached from pods, nor from beside the cluster.

What can't be reached needs no lock. Nothing but API servers has a reason to talk to etcd, yet kubeadm lets it listen on the
node's own address, where one mistake with certificates (or one hole in etcd) gives the cluster to every pod, and to the
whole internet where nodes have public addresses. TCP connections to etcd's client and peer ports, and to each further one
that its process listens on, are tried from a pod on each node and from a container beside the nodes. A connection that
opens is a breach, whatever etcd would have asked for next.

What else hands on to etcd exposes it as much: a proxy, a tunnel, a forwarded port. So each other TCP port that somebody
listens on, on any node and on more than loopback, and each that a Service or a pod has opened, is asked whether etcd is
behind it: whether it shows a certificate of etcd's CA, or tells etcd's version, in plain text or over TLS. Where a node
can't be entered, nobody knows what listens there, and the control can't be held.

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

from collections.abc import Callable, Iterator, Sequence
from itertools import product

from pytest_k8ssec.agent.tasks import Task, Tcp, Trust
from pytest_k8ssec.agent.vantage import Answer, NetworkVantage, Vantage, ask_all
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.ports import API_SERVER_PORT, KUBELET_PORT
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence, Outcome, got_through
from pytest_k8ssec.facts.node import control_planes, heard_by_others, listeners, node_source
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.etcd import CLIENTS, PEERS, etcd_speaks, is_it_etcd, own_ports, server_ca
from pytest_k8ssec.probes.exposure import on_node, opened_ports
from pytest_k8ssec.probes.nodes_in_reach import entered_nodes, nodes_to_judge
from pytest_k8ssec.sabotages.forwarder import forwarded
from pytest_k8ssec.verdict import Judge

_SERVERS = {(API_SERVER_PORT, "kube-apiserver"), (KUBELET_PORT, "kubelet")}
"""What is no etcd, even if one CA is for all of them."""
_FORWARDED = 22379


@control(
    severity=Severity.HIGH,
    subject="cluster",
    mitre=("T1133",),
    owasp=("K06:2025",),
    apart=True,
    dimensions=("source", "node", "address", "port"),
)
def test_etcd_exposed(
    judge: Judge, cluster: Cluster, pool: Pool, attacker: Callable[..., Pod], outside: NetworkVantage
) -> None:
    """Connect to etcd's ports, and ask what else listens on nodes, from a pod on each node and from beside the nodes."""
    nodes = nodes_to_judge(judge, pool)
    sources: list[Vantage] = [*(attacker(node=node.name).vantage for node in nodes), outside]
    planned = [*_planned(cluster, entered_nodes(judge, nodes))]
    for source, (node, address, ports, _) in product(sources, planned):
        for port in ports:
            judge.coverage.exists(source=source.source.place, node=node.name, address=address, port=port)
    tasks = [task for _, _, _, asked in planned for task in asked]
    for source, answers in zip(sources, ask_all(sources, tasks), strict=True):
        _judged(judge, source, planned, answers)


_Plan = tuple[Node, str, Sequence[int], list[Task]]
"""A node and one of its addresses; the ports there, etcd's own if the first task is a handshake; and what is asked."""


def _planned(cluster: Cluster, entered: Sequence[Node]) -> Iterator[_Plan]:
    """What each source asks: at control planes for etcd itself, at each node that can be entered for what else listens."""
    ca = cluster.api.ca_file.read_text()
    own = {
        node.name: {CLIENTS.port, PEERS.port, *own_ports(cluster, node)} for node in cluster.nodes if node.control_plane
    }
    for node, ports in ((node, sorted(own[node.name])) for node in cluster.nodes if node.control_plane):
        for address in node.addresses:
            known = Trust(address, API_SERVER_PORT, ca, "the cluster's CA")
            yield node, address, ports, [known, *(Tcp(address, port) for port in ports)]
    etcd_ca = next((server_ca(cluster, node) for node in entered if node.control_plane), "")
    opened = opened_ports(cluster)
    for node in entered:
        heard = {each.port for each in heard_by_others(cluster, node) if (each.port, each.process) not in _SERVERS}
        further = sorted({*heard, *on_node(opened, node)} - own.get(node.name, set()))
        for address in node.addresses if further else ():
            asked = [task for port in further for task in is_it_etcd(address, port, etcd_ca)]
            yield node, address, further, [Tcp(address, KUBELET_PORT), *asked]


def _judged(judge: Judge, source: Vantage, planned: Sequence[_Plan], answers: Sequence[Answer]) -> None:
    """Record what one source was told, in the order in which it asked."""
    rest = iter(answers)
    for node, address, ports, tasks in planned:
        known, *found = [next(rest) for _ in tasks]
        reached = known.evidence.outcome is Outcome.OPEN
        where = {"source": source.source.place, "node": node.name, "address": address}
        if isinstance(tasks[0], Trust):
            case = judge.case(f"etcd on {node.name} ({address}) from {source.source}")
            case.positive("this node's API server answers at this address", known.evidence, succeeded=reached)
            for port, answer in zip(ports, found, strict=True):
                through = got_through(answer.evidence) if reached else None
                case.attack(f"connect to port {port}", answer.evidence, through=through, at={**where, "port": port})
            continue
        case = judge.case(f"what else listens on {node.name} ({address}) from {source.source}")
        case.positive("this node's kubelet is in reach at this address", known.evidence, succeeded=reached)
        each = len(found) // len(ports)
        for number, port in enumerate(ports):
            through, evidence = etcd_speaks(found[number * each : (number + 1) * each])
            case.attack(f"find etcd behind port {port}", evidence, through=through, at={**where, "port": port})


def _listens_everywhere(cluster: Cluster) -> Evidence:
    (node, *_) = control_planes(cluster)
    if not any(each.port == CLIENTS.port and each.host == "*" for each in listeners(cluster, node, "etcd")):
        raise SabotageError(f"etcd on {node.name}: does not listen for clients on all addresses")
    return Evidence(node_source(node), f"listening sockets of etcd: *:{CLIENTS.port}", Outcome.DONE)


_OPEN = (f"connect to port {CLIENTS.port}",)


@sabotage(test_etcd_exposed, proof=_listens_everywhere, shows=_OPEN, kills={"ext-ports": _OPEN})
def etcd_on_all_addresses(config: KindConfig) -> None:
    """etcd listens for clients on all of the node's addresses."""
    config.etcd(listen_client_urls=f"https://0.0.0.0:{CLIENTS.port}")


@sabotage(test_etcd_exposed, kills=("ext-ports",))
def etcd_handed_on(cluster: Cluster, pool: Pool) -> Iterator[Evidence]:
    """A process on a control-plane node listens on all addresses, and hands on to etcd on loopback."""
    with forwarded(cluster, pool, _FORWARDED, CLIENTS.port) as answer:
        yield answer
