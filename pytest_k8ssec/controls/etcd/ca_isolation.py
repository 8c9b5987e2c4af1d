"""etcd trusts no certificate that the cluster's own CA signed.

The cluster's CA signs a certificate for every node, and for everybody whose request is approved. If etcd trusts the
same CA, each of those certificates can read and write the whole cluster past RBAC. So etcd needs a CA of its own. On
each control-plane node the client certificate by which the API server talks to kubelets, which the cluster's CA signed,
is shown to every address that etcd listens on, for clients or for its peers: each trusts a CA by a setting of its own.
Keys stay on the node: they are used there, and nothing of them comes back.

An address counts only if etcd answers the certificate of its real client, or peer, at the same moment.

Remediation: give etcd a CA that signs nothing but etcd's own members and clients, and name only that one in its
`--trusted-ca-file` and `--peer-trusted-ca-file` (kubeadm does so by itself: /etc/kubernetes/pki/etcd/ca.crt).

```yaml
# kind.yaml
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    etcd:
      local:
        extraArgs:
          trusted-ca-file: /etc/kubernetes/pki/etcd/ca.crt
          peer-trusted-ca-file: /etc/kubernetes/pki/etcd/ca.crt
```

Sources: CIS Kubernetes Benchmark 2.7; https://kubernetes.io/docs/setup/best-practices/certificates/
"""

from __future__ import annotations

from pytest_k8ssec.agent.tasks import host_and_port
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.ports import KUBELET_PORT
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.facts.node import control_planes, heard_at, node_source
from pytest_k8ssec.probes.certificates import certificate_authority as new_authority
from pytest_k8ssec.probes.etcd import CLIENTS, OTHER_DOOR, PEERS, PKI, Door, with_certificate, with_real_certificate
from pytest_k8ssec.probes.nodes_in_reach import entered_control_planes
from pytest_k8ssec.verdict import Judge

_KUBELETS = Door("kubelet", KUBELET_PORT, "GET", "/healthz", "", "apiserver-kubelet-client", "the API server's kubelet")
"""Where the certificate that the cluster's CA signed is at home."""
_THROUGH = {Outcome.HTTP: True, Outcome.TLS_ALERT: False, Outcome.CLOSED: False}


@control(
    severity=Severity.HIGH,
    subject="cluster",
    cis=("2.7",),
    others=("C-0159",),
    apart=True,
    dimensions=("node", "address", "port"),
)
def test_etcd_ca_isolation(judge: Judge, cluster: Cluster) -> None:
    """Show etcd a client certificate of the cluster's CA, at each of its addresses, on its own node."""
    for node in entered_control_planes(judge, cluster):
        heard = heard_at(cluster, node, "etcd")
        for host, port in heard:
            judge.coverage.exists(node=node.name, address=host, port=port)
        at_home = with_real_certificate(cluster, node, _KUBELETS, node.address, KUBELET_PORT)
        for host, port in heard:
            door, proof = _door(cluster, node, host, port)
            case = judge.case(f"etcd at {host_and_port(host, port)} on {node.name}", required=False)
            case.positive("the real certificate opens it", proof, succeeded=proof.status == 200)
            case.positive("a kubelet takes the other certificate", at_home, succeeded=at_home.status == 200 or None)
            answer = with_certificate(
                cluster, node, door, host, port, name=_KUBELETS.certificate, owner=_KUBELETS.owner
            )
            case.attack(
                "show a certificate of the cluster's CA",
                answer,
                through=_THROUGH.get(answer.outcome),
                at={"node": node.name, "address": host, "port": port},
            )


def _door(cluster: Cluster, node: Node, host: str, port: int) -> tuple[Door, Evidence]:
    """Which of etcd's doors an address is, and what its real certificate opens there."""
    proof = with_real_certificate(cluster, node, CLIENTS, host, port)
    if proof.status != OTHER_DOOR:
        return CLIENTS, proof
    return PEERS, with_real_certificate(cluster, node, PEERS, host, port)


def _same_authority(cluster: Cluster) -> Evidence:
    (node, *_) = control_planes(cluster)
    ours, etcds = f"{PKI}/ca.crt", f"{PKI}/etcd/ca.crt"
    if cluster.on_node(node, ["cmp", "--silent", ours, etcds], check=False).code != 0:
        raise SabotageError(f"node {node.name}: {etcds} is not {ours}")
    return Evidence(node_source(node), f"compare {ours} and {etcds}", Outcome.DONE, "they are the same")


@sabotage(test_etcd_ca_isolation, proof=_same_authority)
def one_authority(config: KindConfig) -> None:
    """etcd's CA is the cluster's: kubeadm takes what lies in its PKI directory when it begins."""
    made = new_authority("kubernetes")
    for folder in (PKI, f"{PKI}/etcd"):
        config.plant(f"{folder}/ca.crt", made.certificate)
        config.plant(f"{folder}/ca.key", made.key)
