"""etcd serves nothing over plain HTTP.

Plain HTTP knows no certificates: whoever can connect is let in, and traffic can be read on the way. That is also true
of the metrics port, which reveals the names of keys and the shape of the cluster. All ports that etcd is known for, and
each further one that its process listens on, are asked for `/version` and `/metrics` in plain text from a pod on each node.
A TLS port answers plain HTTP with status 400; anything else is a plain service. Loopback is left out: kubeadm's health probes
use plain metrics on 127.0.0.1:2381. Where a node can't be entered, nobody knows what else its etcd listens on, and the control
can't be held.

Remediation: list only `https://` in etcd's `--listen-client-urls`, `--listen-peer-urls`, and keep
`--listen-metrics-urls` on 127.0.0.1 or on `https://`.

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
          listen-metrics-urls: http://127.0.0.1:2381
```

Sources: CIS Kubernetes Benchmark 2.1; https://etcd.io/docs/v3.6/op-guide/configuration/
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import product
from typing import Any

from pytest_k8ssec.agent.tasks import Http
from pytest_k8ssec.agent.vantage import Vantage, probe_all
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.ports import API_SERVER_PORT
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import STOPPED, Evidence, Outcome
from pytest_k8ssec.facts.node import argument_evidence, arguments, control_planes
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.etcd import own_ports
from pytest_k8ssec.probes.nodes_in_reach import entered_nodes, nodes_in_reach
from pytest_k8ssec.verdict import Judge

_KNOWN = (2378, 2379, 2380, 2381, 2382, 4001)
_PATHS = ("/version", "/metrics")
_TLS_PORT_SAYS = 400
_QUIET = STOPPED | {Outcome.CLOSED}


@control(
    severity=Severity.HIGH,
    subject="cluster",
    cis=("2.1",),
    others=("KHV033", "KHV034", "C-0153"),
    apart=True,
    dimensions=("source", "node", "address", "port", "path"),
)
def test_etcd_plaintext(judge: Judge, cluster: Cluster, pool: Pool, attacker: Callable[..., Pod]) -> None:
    """Ask each control-plane node's etcd ports in plain text, from a pod on each node."""
    canary = attacker(pool.namespace("canary"))
    sources = [attacker(node=node.name).vantage for node in nodes_in_reach(pool).answering]
    for node in (node for node in cluster.nodes if node.control_plane):
        own = own_ports(cluster, node)
        for values in product(sources, node.addresses, (*_KNOWN, *own), _PATHS):
            judge.coverage.exists(**_at(node, *values))
        for address in node.addresses:
            _ask(judge, sources, canary, node, address, own)
    entered_nodes(judge, [node for node in cluster.nodes if node.control_plane])


def _at(node: Node, source: Vantage, address: str, port: int, path: str) -> dict[str, Any]:
    return {"source": source.source.place, "node": node.name, "address": address, "port": port, "path": path}


def _ask(judge: Judge, sources: Sequence[Vantage], canary: Pod, node: Node, address: str, own: Collection[int]) -> None:
    """Ask one address in plain text from everywhere."""
    tried = list(product(sorted({*_KNOWN, *own}), _PATHS))
    asked = [Http(address, port, path, tls=False, identity="in plain text") for port, path in tried]
    tasks = [canary.plain_http, Http(address, API_SERVER_PORT, "/livez"), *asked]
    for source, (shown, tls, *answers) in zip(sources, probe_all([(each, tasks) for each in sources]), strict=True):
        case = judge.case(f"etcd on {node.name} ({address}) from {source.source}")
        case.positive("plain HTTP gets through to a canary", shown, succeeded=shown.status == 200)
        case.positive("TLS gets through to the same node", tls, succeeded=tls.outcome is Outcome.HTTP)
        for (port, path), answer in zip(tried, answers, strict=True):
            at = _at(node, source, address, port, path)
            case.attack(f"port {port}{path}", answer, through=_got_through(answer, port in own), at=at)


def _got_through(answer: Evidence, is_etcd: bool) -> bool | None:  # noqa: FBT001 - the value that is recorded
    if answer.outcome in _QUIET:
        return False
    if answer.status is None:
        return None
    return answer.status != _TLS_PORT_SAYS if is_etcd else answer.status == 200


def _listens_in_plain(cluster: Cluster) -> Evidence:
    (node, *_) = control_planes(cluster)
    if "http://0.0.0.0" not in arguments(cluster, node, "etcd").get("listen-metrics-urls", ""):
        raise SabotageError("etcd: does not serve plain metrics on all addresses")
    return argument_evidence(cluster, node, "etcd", "listen-metrics-urls")


# Its port is one that its pod declares, and there is no page at its root: 404 says nothing of the others.
@sabotage(
    test_etcd_plaintext,
    proof=_listens_in_plain,
    kills={"etcd-exposed": ("connect to port 2381",), "ext-ports": ("connect to port 2381",)},
    blinds=("ext-unauth-ui",),
)
def plain_metrics(config: KindConfig) -> None:
    """etcd serves its metrics, /version among them, in plain text on all addresses."""
    config.etcd(listen_metrics_urls="http://0.0.0.0:2381")
