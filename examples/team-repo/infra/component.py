"""A service as every team deploys it: its account, its pods, its Service, and the policy that says who may call it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

PORT = 8080
USER = 65532
_NOBODY = {"run_as_non_root": True, "run_as_user": USER, "run_as_group": USER, "fs_group": USER}


class Service(pulumi.ComponentResource):
    """One service of a team.

    Args:
        name: of all its objects.
        team: the namespace.
        callers: labels of the pods of that namespace that may call it.
        public: whether everybody may.
        may_call: rules of egress.
        mounted: name of a Secret that it finds below /run/secrets.
    """

    def __init__(
        self,
        name: str,
        *,
        team: str,
        image: str,
        callers: Mapping[str, str] | None = None,
        public: bool = False,
        may_call: Sequence[Mapping[str, Any]] = (),
        mounted: str = "",
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("store:index:Service", name, None, opts)
        inside = pulumi.ResourceOptions(parent=self)
        labels = {"app.kubernetes.io/name": name}
        metadata = {"name": name, "namespace": team}
        account = k8s.core.v1.ServiceAccount(
            name, metadata=metadata, automount_service_account_token=False, opts=inside
        )
        k8s.networking.v1.NetworkPolicy(
            name,
            metadata=metadata,
            spec={
                "pod_selector": {"match_labels": labels},
                "policy_types": ["Ingress"],
                "ingress": _from(callers, public=public),
            },
            opts=inside,
        )
        # A policy of its own: where both directions stand in one, some networks let a pod call others like it.
        k8s.networking.v1.NetworkPolicy(
            f"{name}-calls",
            metadata={"name": f"{name}-calls", "namespace": team},
            spec={
                "pod_selector": {"match_labels": labels},
                "policy_types": ["Egress"],
                "egress": list(may_call),
            },
            opts=inside,
        )
        k8s.core.v1.Service(
            name,
            metadata={**metadata, "annotations": {"pulumi.com/skipAwait": "true"}},
            spec={"type": "ClusterIP", "selector": labels, "ports": [{"name": "http", "port": PORT}]},
            opts=inside,
        )
        k8s.apps.v1.Deployment(
            name,
            metadata=metadata,
            spec={
                "selector": {"match_labels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "service_account_name": name,
                        "termination_grace_period_seconds": 2,
                        "security_context": {
                            **_NOBODY,
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
                                "volume_mounts": [{"name": "own", "mount_path": "/run/secrets/own", "read_only": True}],
                            }
                        ],
                        "volumes": [
                            {"name": "own", "secret": {"secret_name": mounted, "default_mode": 0o440}}
                            if mounted
                            else {"name": "own", "empty_dir": {}}
                        ],
                    },
                },
            },
            opts=pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(depends_on=[account])),
        )


def _from(callers: Mapping[str, str] | None, *, public: bool) -> list[dict[str, Any]]:
    """Rules of ingress, at its port."""
    at = {"ports": [{"port": PORT}]}
    if public:
        return [at]
    return [{"from_": [{"pod_selector": {"match_labels": callers}}], **at}] if callers else []


def serving(image: str) -> dict[str, Any]:
    """A container that stands in for a team's real one: it answers on its port, and asks for little."""
    return {
        "name": "main",
        "image": image,
        "image_pull_policy": "IfNotPresent",
        "command": ["python3", "-B", "-m", "http.server", "--directory", "/run", str(PORT)],
        "ports": [{"name": "http", "container_port": PORT}],
        "readiness_probe": {"http_get": {"path": "/", "port": PORT}, "period_seconds": 1, "timeout_seconds": 2},
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"cpu": "500m", "memory": "96Mi"},
        },
    }
