"""An online store. Team shop sells, team data runs the message broker; here is what both stand on.

shop/front --8080--> shop/cart --5672--> data/broker
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import shop
from component import PORT, USER, serving

RBAC = "rbac.authorization.k8s.io"
DNS = {
    "to": [
        {
            "namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": "kube-system"}},
            "pod_selector": {"match_labels": {"k8s-app": "kube-dns"}},
        }
    ],
    "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
}


def labels_of(team: str, *, level: str) -> dict[str, str]:
    """Labels of a team's namespace, which enforces a Pod Security level."""
    return {"store.example.com/team": team, "pod-security.kubernetes.io/enforce": level}


def rails(team: str, namespace: pulumi.Resource) -> None:
    """What each namespace has: nothing talks to anybody, and no pod gets a token, unless somebody says so."""
    inside = pulumi.ResourceOptions(depends_on=[namespace])
    k8s.core.v1.ServiceAccountPatch(
        f"{team}-default",
        metadata={"name": "default", "namespace": team},
        automount_service_account_token=False,
        opts=inside,
    )
    k8s.networking.v1.NetworkPolicy(
        f"{team}-default-deny",
        metadata={"name": "default-deny", "namespace": team},
        spec={"pod_selector": {}, "policy_types": ["Ingress", "Egress"]},
        opts=inside,
    )
    k8s.networking.v1.NetworkPolicy(
        f"{team}-dns",
        metadata={"name": "dns", "namespace": team},
        spec={"pod_selector": {}, "policy_types": ["Egress"], "egress": [DNS]},
        opts=inside,
    )


def bounds(team: str, namespace: pulumi.Resource) -> None:
    """What a team, and each of its containers, may take."""
    inside = pulumi.ResourceOptions(depends_on=[namespace])
    k8s.core.v1.ResourceQuota(
        f"{team}-quota",
        metadata={"name": "team", "namespace": team},
        spec={"hard": {"pods": "30", "limits.cpu": "15", "limits.memory": "4Gi"}},
        opts=inside,
    )
    k8s.core.v1.LimitRange(
        f"{team}-limits",
        metadata={"name": "containers", "namespace": team},
        spec={
            "limits": [
                {
                    "type": "Container",
                    "default": {"cpu": "500m", "memory": "128Mi"},
                    "default_request": {"cpu": "10m", "memory": "32Mi"},
                }
            ]
        },
        opts=inside,
    )


def own_images_only(image: str) -> None:
    """Refuse pods of the teams whose image comes from another repository than the store's."""
    name, _, tag = image.partition("@")[0].rpartition(":")
    repository = image.partition("@")[0] if "/" in tag or not name else name
    k8s.admissionregistration.v1.ValidatingAdmissionPolicy(
        "own-images",
        metadata={"name": "own-images"},
        spec={
            "failure_policy": "Fail",
            "match_constraints": {
                "namespace_selector": {"match_expressions": [{"key": "store.example.com/team", "operator": "Exists"}]},
                "resource_rules": [
                    {
                        "api_groups": [""],
                        "api_versions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["pods", "pods/ephemeralcontainers"],
                    }
                ],
            },
            "variables": [
                {
                    "name": "images",
                    "expression": "(object.spec.containers + object.spec.?initContainers.orValue([])).map(c, c.image)"
                    " + object.spec.?ephemeralContainers.orValue([]).map(c, c.image)",
                }
            ],
            "validations": [
                {
                    "expression": f"variables.images.all(image, image == '{repository}'"
                    f" || [':', '@'].exists(next, image.startsWith('{repository}' + next)))",
                    "reason": "Forbidden",
                    "message": f"images must come from {repository}",
                }
            ],
        },
    )
    k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
        "own-images",
        metadata={"name": "own-images"},
        spec={"policy_name": "own-images", "validation_actions": ["Deny"]},
    )


def on_call(inside: pulumi.ResourceOptions) -> None:
    """The accounts that team data looks at the cluster with; no pod runs as either."""
    for name in ("inspector", "metrics"):
        k8s.core.v1.ServiceAccount(
            name,
            metadata={"name": name, "namespace": "data"},
            automount_service_account_token=False,
            opts=inside,
        )
    k8s.rbac.v1.ClusterRole(
        "inspector",
        metadata={"name": "inspector"},
        rules=[{"api_groups": [""], "resources": ["namespaces"], "verbs": ["get", "list"]}],
    )
    k8s.rbac.v1.ClusterRoleBinding(
        "inspector",
        metadata={"name": "inspector"},
        role_ref={"api_group": RBAC, "kind": "ClusterRole", "name": "inspector"},
        subjects=[{"kind": "ServiceAccount", "name": "inspector", "namespace": "data"}],
        opts=inside,
    )
    k8s.rbac.v1.ClusterRole(
        "node-metrics",
        metadata={"name": "node-metrics"},
        rules=[{"api_groups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]}],
    )
    k8s.rbac.v1.ClusterRoleBinding(
        "node-metrics",
        metadata={"name": "node-metrics"},
        role_ref={"api_group": RBAC, "kind": "ClusterRole", "name": "node-metrics"},
        subjects=[{"kind": "ServiceAccount", "name": "metrics", "namespace": "data"}],
        opts=inside,
    )


def mirror(image: str, inside: pulumi.ResourceOptions) -> None:
    """Keeps the broker's archive."""
    labels = {"app.kubernetes.io/name": "mirror"}
    pod: dict[str, Any] = {
        "termination_grace_period_seconds": 2,
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": USER,
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                **serving(image),
                "security_context": {
                    "allow_privilege_escalation": False,
                    "read_only_root_filesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volume_mounts": [{"name": "archive", "mount_path": "/archive"}],
            }
        ],
        "volumes": [{"name": "archive", "empty_dir": {}}],
    }
    k8s.apps.v1.Deployment(
        "mirror",
        metadata={"name": "mirror", "namespace": "data"},
        spec={"selector": {"match_labels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
        opts=inside,
    )


def broker(image: str, inside: pulumi.ResourceOptions) -> None:
    """From the broker's own chart. The shop's cart may call it, and it calls nobody."""
    k8s.networking.v1.NetworkPolicy(
        "broker",
        metadata={"name": "broker", "namespace": "data"},
        spec={
            "pod_selector": {"match_labels": {"app.kubernetes.io/name": "broker"}},
            "policy_types": ["Ingress"],
            "ingress": [
                {
                    "from_": [
                        {
                            "namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": "shop"}},
                            "pod_selector": {"match_labels": {"app.kubernetes.io/name": "cart"}},
                        }
                    ],
                    "ports": [{"port": shop.BROKER_PORT}],
                }
            ],
        },
        opts=inside,
    )
    k8s.helm.v3.Release(
        "broker",
        name="broker",
        chart=str(Path(__file__).parent / "charts" / "broker"),
        namespace="data",
        values={"image": image, "port": shop.BROKER_PORT, "hostIPC": False},
        opts=inside,
    )


config = pulumi.Config()
own_images_only(config.require("image"))
shop_space = k8s.core.v1.Namespace("shop", metadata={"name": "shop", "labels": labels_of("shop", level="restricted")})
data_space = k8s.core.v1.Namespace("data", metadata={"name": "data", "labels": labels_of("data", level="restricted")})
rails("shop", shop_space)
rails("data", data_space)
bounds("shop", shop_space)
bounds("data", data_space)
in_data = pulumi.ResourceOptions(depends_on=[data_space])
on_call(in_data)
mirror(config.require("image"), in_data)
broker(config.require("image"), in_data)
shop.deploy(config.require("image"), config.require_secret("bankKey"), shop_space)
pulumi.export("front", f"http://front.shop.svc:{PORT}")
