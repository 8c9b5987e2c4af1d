"""A workload of a team: service account, pods, Service and the network policy that names all it may talk to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from platform_kit.team import Team

_SCRIPT = Path(__file__).with_name("service.py")
_USER = 65532
"""The "nonroot" user of distroless images: it owns nothing."""


@dataclass(frozen=True)
class Workload:
    """What a team deploys."""

    name: str
    image: str
    ports: dict[str, int]
    """Name to number. /ready is asked for on the first."""
    kind: type[k8s.apps.v1.Deployment | k8s.apps.v1.StatefulSet] = k8s.apps.v1.Deployment
    replicas: int = 1
    calls: tuple[str, ...] = ()
    """URLs that must answer before it is ready."""
    variables: dict[str, pulumi.Input[str]] = field(default_factory=dict)
    secret: str = ""
    """Name of a Secret to mount under /run/secrets/platform."""
    ingress: Sequence[dict[str, Any]] = ()
    egress: pulumi.Input[Sequence[dict[str, Any]]] = ()
    """Rules of its network policy."""
    api_client: str = ""
    """Why it needs a token of the Kubernetes API; "" for none."""

    @property
    def labels(self) -> dict[str, str]:
        """What its pods are selected by."""
        return {"app.kubernetes.io/name": self.name}

    def deploy(self, team: Team) -> None:
        """Create all its objects in the team's namespace."""
        name = f"{team.name}-{self.name}"
        account = k8s.core.v1.ServiceAccount(
            name,
            metadata=team.metadata(
                self.name, annotations={"k8ssec.dev/api-client": self.api_client} if self.api_client else {}
            ),
            automount_service_account_token=team.posture.token_automount,
            opts=team.inside,
        )
        if self.ports and not self.api_client:
            self._service(team, name)
        if team.posture.network_policies:
            self._policy(team, name)
        spec: dict[str, Any] = {
            "replicas": self.replicas,
            "selector": {"match_labels": self.labels},
            "template": {"metadata": {"labels": self.labels}, "spec": self._pod(team)},
        }
        if self.kind is k8s.apps.v1.StatefulSet:
            spec["service_name"] = self.name
        self.kind(
            name,
            metadata=team.metadata(self.name, labels=self.labels),
            spec=spec,
            opts=pulumi.ResourceOptions.merge(team.inside, pulumi.ResourceOptions(depends_on=[account])),
        )

    def _pod(self, team: Team) -> dict[str, Any]:
        hardened = bool(team.posture.pod_security)
        pod: dict[str, Any] = {
            "service_account_name": self.name,
            "termination_grace_period_seconds": 2,
            "containers": [self._container(hardened)],
            "volumes": [{"name": "script", "config_map": {"name": "service-script"}}],
        }
        if not team.posture.token_automount:
            # The account gives no token by itself: a declared client asks for it in its pod.
            pod["automount_service_account_token"] = bool(self.api_client)
        if self.secret:
            pod["volumes"].append({"name": "secret", "secret": {"secret_name": self.secret, "default_mode": 0o440}})
        if hardened:
            pod["security_context"] = {
                "run_as_non_root": True,
                "run_as_user": _USER,
                "run_as_group": _USER,
                "fs_group": _USER,
                "seccomp_profile": {"type": "RuntimeDefault"},
            }
        return pod

    def _container(self, hardened: bool) -> dict[str, Any]:
        variables = {
            "NAME": self.name,
            "PORTS": ",".join(str(port) for port in self.ports.values()),
            "CALLS": " ".join(self.calls),
            "NEEDS": "/run/secrets/platform/key" if self.secret else "",
            **self.variables,
        }
        mounts = [{"name": "script", "mount_path": "/app", "read_only": True}]
        if self.secret:
            mounts.append({"name": "secret", "mount_path": "/run/secrets/platform", "read_only": True})
        container: dict[str, Any] = {
            "name": self.name,
            "image": self.image,
            "image_pull_policy": "IfNotPresent",
            "command": ["python3", "-B", "/app/service.py"],
            "env": [{"name": key, "value": value} for key, value in variables.items()],
            "ports": [{"name": name, "container_port": port} for name, port in self.ports.items()],
            "readiness_probe": {
                "http_get": {"path": "/ready", "port": next(iter(self.ports))},
                "period_seconds": 1,
                "timeout_seconds": 2,
                "failure_threshold": 5,
            },
            "resources": {
                "requests": {"cpu": "10m", "memory": "32Mi"},
                "limits": {"cpu": "500m", "memory": "64Mi"},
            },
            "volume_mounts": mounts,
        }
        if hardened:
            container["security_context"] = {
                "allow_privilege_escalation": False,
                "read_only_root_filesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
        return container

    def _service(self, team: Team, name: str) -> None:
        spec: dict[str, Any] = {
            "selector": self.labels,
            "ports": [{"name": key, "port": port, "target_port": key} for key, port in self.ports.items()],
        }
        if self.kind is k8s.apps.v1.StatefulSet:
            spec["cluster_ip"] = "None"
        k8s.core.v1.Service(name, metadata=team.metadata(self.name), spec=spec, opts=team.inside)

    def _policy(self, team: Team, name: str) -> None:
        k8s.networking.v1.NetworkPolicy(
            name,
            metadata=team.metadata(self.name),
            spec={
                "pod_selector": {"match_labels": self.labels},
                "policy_types": ["Ingress", "Egress"],
                "ingress": self.ingress,
                "egress": self.egress,
            },
            opts=team.inside,
        )


def script(team: Team) -> None:
    """The ConfigMap that holds what the team's pods run."""
    k8s.core.v1.ConfigMap(
        f"{team.name}-service-script",
        metadata=team.metadata("service-script"),
        data={"service.py": _SCRIPT.read_text(encoding="utf-8")},
        opts=team.inside,
    )
