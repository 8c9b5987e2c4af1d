"""Steps that a kind configuration can't express, done once the nodes have joined: ``kind-after.yaml`` names them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.bootstrap_tokens import TOKEN_SECRETS, TOKEN_TYPE
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import ClusterError

_SIGNER = "kubernetes.io/kubelet-serving"
_CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_SECONDS = 60
_GUARD = """
tables() { "$tool" --wait 5 --table raw "$@"; }
tool=$0
tables --new-chain K8SSEC-ETCD 2>/dev/null || tables --flush K8SSEC-ETCD
tables --append K8SSEC-ETCD --in-interface lo --jump RETURN
for from in "$@"; do tables --append K8SSEC-ETCD --source "$from" --jump RETURN; done
for to in "$@"; do tables --append K8SSEC-ETCD --destination "$to" --jump DROP; done
rule="--protocol tcp --match multiport --destination-ports 2379,2380 --jump K8SSEC-ETCD"
tables --check PREROUTING $rule 2>/dev/null || tables --insert PREROUTING $rule
"""


def approve_kubelet_serving(cluster: Cluster) -> None:
    """Approve the nodes' requests for kubelet serving certificates until every kubelet serves with one.

    Only requests of that one signer, made by a node of this cluster, are approved. A kubelet that was restarted asks
    anew, and logs and exec work only once it serves, so that is what is waited for; there is nothing to watch for it
    (https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/#certificate-rotation).

    Raises:
        ClusterError: a kubelet did not serve in time.
    """
    users = {f"system:node:{node.name}" for node in cluster.nodes}
    waiting = [node.name for node in cluster.nodes]
    end = time.monotonic() + _SECONDS
    while True:
        for request in cluster.api.list(_CSRS, fieldSelector=f"spec.signerName={_SIGNER}"):
            if request["spec"]["username"] in users and not request["status"].get("conditions"):
                _approve(cluster, request)
        waiting = [name for name in waiting if not cluster.api.request("GET", f"/api/v1/nodes/{name}/proxy/healthz").ok]
        if not waiting:
            return
        if time.monotonic() > end:
            raise ClusterError(f"node {waiting[0]}: its kubelet does not serve with an approved certificate")
        time.sleep(0.2)


def remove_bootstrap_tokens(cluster: Cluster) -> None:
    """Delete bootstrap tokens, the anonymously readable ``cluster-info`` and the role that makes it so.

    kind joins nodes with one public token; a cluster whose nodes have joined needs none (CIS 3.1.3).

    Raises:
        ClusterError: the API server refused.
    """
    for secret in cluster.api.list(TOKEN_SECRETS, fieldSelector=f"type={TOKEN_TYPE}"):
        cluster.api.delete(f"{TOKEN_SECRETS}/{secret['metadata']['name']}")
    public = "/namespaces/kube-public"
    cluster.api.delete(f"/api/v1{public}/configmaps/cluster-info")
    cluster.api.delete(f"/apis/rbac.authorization.k8s.io/v1{public}/rolebindings/kubeadm:bootstrap-signer-clusterinfo")


def guard_etcd(cluster: Cluster) -> None:
    """Let nobody but control-plane nodes through to etcd's ports on control-plane nodes.

    Where there are several control planes, each etcd has to listen for the others. The rules stand before all others, in the
    table ``raw``: what comes from pods of the same node passes there too, with the pod's own address, which it would lose
    further on.

    Raises:
        ProbeError: a node did not take the rules.
    """
    planes = [node for node in cluster.nodes if node.control_plane]
    for v6 in (False, True):
        addresses = [address for node in planes for address in node.addresses if (":" in address) is v6]
        if addresses:
            for node in planes:
                cluster.on_node(node, ["sh", "-ec", _GUARD, "ip6tables" if v6 else "iptables", *addresses])


STEPS: Mapping[str, Callable[[Cluster], None]] = {
    "approve-kubelet-serving-certificates": approve_kubelet_serving,
    "remove-bootstrap-tokens": remove_bootstrap_tokens,
    "guard-etcd": guard_etcd,
}


def _approve(cluster: Cluster, request: Body) -> None:
    approved = {
        "type": "Approved",
        "status": "True",
        "reason": "K8ssec",
        "message": "a node of this run's own cluster, asking for its kubelet's serving certificate",
    }
    body = {**request, "status": {"conditions": [approved]}}
    cluster.api.call("PUT", f"{_CSRS}/{request['metadata']['name']}/approval", body=body)
