"""What can't be said in a kind configuration and is done once the nodes have joined: ``kind-after.yaml`` names them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.errors import ClusterError

_SIGNER = "kubernetes.io/kubelet-serving"
_CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_SECONDS = 60


def approve_kubelet_serving(cluster: Cluster) -> None:
    """Approve each node's request for a kubelet serving certificate, and wait until the kubelets serve with it.

    Only requests of that one signer, made by a node of this cluster, are approved
    (https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/#certificate-rotation).

    Raises:
        ClusterError: a node did not ask, or did not serve, in time.
    """
    nodes = {f"system:node:{node.name}" for node in cluster.nodes}
    waiting = set(nodes)
    for _, request in cluster.api.watch(_CSRS, deadline=_SECONDS, fieldSelector=f"spec.signerName={_SIGNER}"):
        user = request["spec"]["username"]
        if user in nodes and not request.get("status", {}).get("conditions"):
            _approve(cluster, request)
            waiting.discard(user)
        if not waiting:
            break
    else:
        raise ClusterError(f"cluster {cluster.name}: no kubelet-serving request of {', '.join(sorted(waiting))}")
    _await_kubelets(cluster)


def remove_bootstrap_tokens(cluster: Cluster) -> None:
    """Delete bootstrap tokens, the anonymously readable ``cluster-info`` and the role that makes it so.

    kind joins nodes with one public token; a cluster whose nodes have joined needs none (CIS 3.1.3).

    Raises:
        ClusterError: the API server refused.
    """
    secrets = "/api/v1/namespaces/kube-system/secrets"
    for secret in cluster.api.list(secrets, fieldSelector="type=bootstrap.kubernetes.io/token"):
        cluster.api.delete(f"{secrets}/{secret['metadata']['name']}")
    public = "/namespaces/kube-public"
    cluster.api.delete(f"/api/v1{public}/configmaps/cluster-info")
    cluster.api.delete(
        f"/apis/rbac.authorization.k8s.io/v1{public}/rolebindings/kubeadm:bootstrap-signer-clusterinfo"
    )


STEPS: Mapping[str, Callable[[Cluster], None]] = {
    "approve-kubelet-serving-certificates": approve_kubelet_serving,
    "remove-bootstrap-tokens": remove_bootstrap_tokens,
}


def _approve(cluster: Cluster, request: dict[str, object]) -> None:
    metadata = request["metadata"]
    assert isinstance(metadata, dict)
    approved = {
        "type": "Approved",
        "status": "True",
        "reason": "K8ssec",
        "message": "a node of this run's own cluster, asking for its kubelet's serving certificate",
    }
    body = {**request, "status": {"conditions": [approved]}}
    cluster.api.call("PUT", f"{_CSRS}/{metadata['name']}/approval", body=body)


def _await_kubelets(cluster: Cluster) -> None:
    """Wait until the API server can talk to every kubelet: logs and exec depend on it. Nothing to watch, so it asks."""
    end = time.monotonic() + _SECONDS
    for node in cluster.nodes:
        while not cluster.api.request("GET", f"/api/v1/nodes/{node.name}/proxy/healthz").ok:
            if time.monotonic() > end:
                raise ClusterError(f"node {node.name}: its kubelet does not serve with the approved certificate")
            time.sleep(0.2)
