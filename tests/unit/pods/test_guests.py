"""A twin is a guest: it takes no claim that only one may have, and gets no traffic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from pytest_k8ssec.clusters.api import KubeApi, Response
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.pods.claims import claimed_folders, without_lone_claims
from pytest_k8ssec.pods.never_served import unserved_labels
from pytest_k8ssec.probes.planted_files import host_mounts

CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}
EMPTY = {"name": "data", "emptyDir": {}}
PROVISIONED = {"pv.kubernetes.io/provisioned-by": "rancher.io/local-path"}


@dataclass
class Api:
    """A namespace's claims, volumes, Services and policies."""

    objects: dict[str, Any] = field(default_factory=dict)

    def request(self, _method: str, path: str) -> Response:
        """One, by the end of its path."""
        name = path.rpartition("/")[2]
        return Response(200, self.objects[name], 1) if name in self.objects else Response(404, {}, 1)

    def list(self, path: str) -> list[Any]:
        """All of a kind."""
        return list(self.objects.get(path.rpartition("/")[2], []))


def volumes(mode: str, *, node: str = "", phase: str = "Bound", volume: Any = None) -> list[Any]:
    """What a pod of this claim has instead."""
    claim = {"spec": {"accessModes": [mode], "volumeName": "pv"}, "status": {"phase": phase}}
    api = Api({"data-db-0": claim, "pv": volume or {"metadata": {}, "spec": {"csi": {}}}})
    body = {"nodeName": node, "volumes": [CLAIM]}
    return list(without_lone_claims(cast("KubeApi", api), "web", body)["volumes"])


@pytest.mark.parametrize(
    ("mode", "node", "phase", "expected"),
    [
        ("ReadWriteOncePod", "n1", "Bound", EMPTY),
        ("ReadWriteOnce", "", "Bound", EMPTY),
        ("ReadWriteOnce", "n1", "Bound", CLAIM),
        ("ReadWriteMany", "", "Bound", CLAIM),
        ("ReadOnlyMany", "", "Bound", CLAIM),
        ("ReadWriteMany", "", "Pending", EMPTY),
        ("ReadWriteOnce", "n1", "Pending", EMPTY),
    ],
)
def test_a_claim_that_can_not_be_shared_is_an_empty_volume(mode: str, node: str, phase: str, expected: Any) -> None:
    """On the node of a live pod one for a node can; and no twin decides where a volume comes to be."""
    assert [expected] == volumes(mode, node=node, phase=phase)


def test_a_folder_of_the_node_that_somebody_chose_is_never_left_out() -> None:
    """A twin without it would not find what the workload has; one that a provisioner made holds nothing of the node's."""
    chosen = {"metadata": {}, "spec": {"hostPath": {"path": "/etc/kubernetes"}}}
    made = {"metadata": {"annotations": PROVISIONED}, "spec": {"hostPath": {"path": "/var/local/pv"}}}
    assert [CLAIM] == volumes("ReadWriteOncePod", volume=chosen)
    assert [EMPTY] == volumes("ReadWriteOncePod", volume=made)


def test_other_volumes_stay_and_what_is_made_for_one_pod_is_not_made() -> None:
    """Neither is a claim that is not there."""
    body = {"volumes": [{"name": "a", "configMap": {"name": "c"}}, {"name": "b", "ephemeral": {}}, CLAIM]}
    found = without_lone_claims(cast("KubeApi", Api()), "web", body)["volumes"]
    assert [body["volumes"][0], {"name": "b", "emptyDir": {}}, EMPTY] == found


LABELS = {"app": "db", "tier": "data"}


def service(*, publishes: bool, annotations: Any = None, **selector: str) -> dict[str, Any]:
    """A Service."""
    meta = {"name": "db", "annotations": annotations or {}}
    return {"metadata": meta, "spec": {"selector": selector, "publishNotReadyAddresses": publishes}}


def policy(**spec: Any) -> dict[str, Any]:
    """A network policy."""
    return {"spec": spec}


def labels(*services: Any, policies: tuple[Any, ...] = ()) -> dict[str, str]:
    """What is left of them."""
    api = Api({"services": services, "networkpolicies": policies})
    return unserved_labels(cast("KubeApi", api), "web", LABELS)


def test_a_label_by_which_only_a_service_selects_is_left_out() -> None:
    """Of a Service that publishes addresses of pods which are not ready; others leave a twin out by themselves."""
    assert {"tier": "data"} == labels(service(publishes=True, app="db"))
    assert LABELS == labels(
        service(publishes=False, app="db"), service(publishes=True, app="other"), service(publishes=True)
    )
    old = {"service.alpha.kubernetes.io/tolerate-unready-endpoints": "true"}
    assert {"tier": "data"} == labels(service(publishes=False, annotations=old, app="db"))


@pytest.mark.parametrize(
    "spec",
    [
        {"podSelector": {"matchLabels": {"app": "db"}}},
        {"podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}},
        {"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "db"}}}]}]},
        {"egress": [{"to": [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "In"}]}}]}]},
    ],
)
def test_no_label_that_a_policy_knows_is_left_out(spec: Any) -> None:
    """Without it the twin would stand under other policies; where each is known, there is no twin."""
    both = service(publishes=True, app="db", tier="data")
    assert {"app": "db"} == labels(both, policies=(policy(**spec),))
    with pytest.raises(ProbeError, match="would be an endpoint of Service web/db"):
        labels(service(publishes=True, app="db"), policies=(policy(**spec),))


def test_which_claims_are_a_folder_of_a_node() -> None:
    """By the volume that each is bound to: not one that a provisioner made, a disk of its own, or what is nowhere yet."""
    chosen = {"hostPath": {"path": "/etc/kubernetes"}}
    known = {
        "keys": ("chosen", {}, chosen),
        "disk": ("disk", {}, {"local": {"path": "/mnt/disks/ssd1"}}),
        "volume": ("volume", {}, {"local": {"path": "/var/local"}}),
        "pki": ("pki", {}, {"local": {"path": "/etc/kubernetes/pki"}}),
        "all": ("all", {}, {"local": {"path": "/"}}),
        "pods": ("pods", {}, {"local": {"path": "/var/lib"}}),
        "cache": ("made", PROVISIONED, chosen),
        "remote": ("remote", {}, {"csi": {}}),
    }
    claims = [{"metadata": {"name": name}, "spec": {"volumeName": volume}} for name, (volume, _, _) in known.items()]
    pvs = [{"metadata": {"name": name, "annotations": made}, "spec": spec} for name, made, spec in known.values()]
    pending = {"metadata": {"name": "pending"}, "spec": {}}
    api = Api({"persistentvolumeclaims": [*claims, pending], "persistentvolumes": pvs})
    assert {"keys": "/etc/kubernetes", "pki": "/etc/kubernetes/pki", "all": "/", "pods": "/var/lib"} == claimed_folders(
        cast("KubeApi", api), "web"
    )
    template = {
        "spec": {
            "volumes": [
                {"name": name, "persistentVolumeClaim": {"claimName": name}} for name in ("keys", "cache", "pending")
            ],
            "containers": [{"volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in ("keys", "cache")]}],
        }
    }
    assert {"/keys": "/etc/kubernetes"} == host_mounts(template, claimed_folders(cast("KubeApi", api), "web"))
