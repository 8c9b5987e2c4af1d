"""Team shop: the front that customers see, the cart behind it, a search, and the account by which its CI deploys."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_kubernetes as k8s
from component import PORT, USER, Service, serving

TEAM = "shop"
BROKER_PORT = 5672


def deploy(image: str, bank_key: pulumi.Output[str], after: pulumi.Resource) -> None:
    """All that the team has, in its namespace."""
    opts = pulumi.ResourceOptions(depends_on=[after])
    k8s.core.v1.Secret("bank-key", metadata=named("bank-key"), string_data={"key": bank_key}, opts=opts)
    k8s.core.v1.ConfigMap("settings", metadata=named("settings"), data={"currency": "EUR"}, opts=opts)
    _ci(opts)
    Service("front", team=TEAM, image=image, public=True, may_call=[_to(TEAM, "cart", PORT)], opts=opts)
    Service(
        "cart",
        team=TEAM,
        image=image,
        callers={"app.kubernetes.io/name": "front"},
        may_call=[_to("data", "broker", BROKER_PORT)],
        mounted="bank-key",
        opts=opts,
    )
    _search(image, opts)
    _thumbnails(image, opts)


def named(name: str) -> dict[str, Any]:
    """Metadata of an object of the team."""
    return {"name": name, "namespace": TEAM}


def _ci(opts: pulumi.ResourceOptions) -> None:
    """CI looks at what runs; it deploys as somebody else."""
    k8s.core.v1.ServiceAccount("ci", metadata=named("ci"), automount_service_account_token=False, opts=opts)
    k8s.rbac.v1.Role("ci-settings", metadata=named("ci-settings"), rules=[_reads("configmaps")], opts=opts)
    _binding("ci-settings", opts)
    k8s.rbac.v1.Role("ci-pods", metadata=named("ci-pods"), rules=[_reads("pods")], opts=opts)
    _binding("ci-pods", opts)


def _reads(*resources: str) -> dict[str, Any]:
    """A rule of a Role."""
    return {"api_groups": [""], "resources": [*resources], "verbs": ["get", "list"]}


def _binding(role: str, opts: pulumi.ResourceOptions) -> None:
    """CI gets a Role."""
    k8s.rbac.v1.RoleBinding(
        role,
        metadata=named(role),
        role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
        subjects=[{"kind": "ServiceAccount", "name": "ci", "namespace": TEAM}],
        opts=opts,
    )


def _search(image: str, opts: pulumi.ResourceOptions) -> None:
    """From before there was a component for it."""
    labels = {"app.kubernetes.io/name": "search"}
    k8s.core.v1.Service(
        "search",
        metadata={**named("search"), "annotations": {"pulumi.com/skipAwait": "true"}},
        spec={"selector": labels, "ports": [{"name": "http", "port": PORT}]},
        opts=opts,
    )
    k8s.apps.v1.Deployment(
        "search",
        metadata=named("search"),
        spec={
            "selector": {"match_labels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
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
                                "privileged": False,
                            },
                        }
                    ],
                },
            },
        },
        opts=opts,
    )


def _thumbnails(image: str, opts: pulumi.ResourceOptions) -> None:
    """Nobody calls it: it looks for new pictures by itself."""
    labels = {"app.kubernetes.io/name": "thumbnails"}
    k8s.apps.v1.Deployment(
        "thumbnails",
        metadata=named("thumbnails"),
        spec={
            "selector": {"match_labels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "host_pid": False,
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
                        }
                    ],
                },
            },
        },
        opts=opts,
    )


def _to(namespace: str, name: str, port: int) -> dict[str, Any]:
    """A rule of egress: to one port of one service."""
    return {
        "to": [
            {
                "namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": namespace}},
                "pod_selector": {"match_labels": {"app.kubernetes.io/name": name}},
            }
        ],
        "ports": [{"port": port}],
    }
