"""A workload of a team: service account, pods, Service and the network policy that names all it may talk to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.core.v1 import (
    CapabilitiesArgs,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    ContainerPortArgs,
    EnvVarArgs,
    HTTPGetActionArgs,
    PodSecurityContextArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ProbeArgs,
    ResourceRequirementsArgs,
    SeccompProfileArgs,
    SecretVolumeSourceArgs,
    SecurityContextArgs,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.networking.v1 import (
    NetworkPolicyEgressRuleArgs,
    NetworkPolicyIngressRuleArgs,
    NetworkPolicySpecArgs,
)

from platform_kit.team import Team

_SCRIPT = Path(__file__).with_name("service.py")
_USER = 65532
"""The "nonroot" user of distroless images: it owns nothing."""
_POD_SECURITY = PodSecurityContextArgs(
    run_as_non_root=True,
    run_as_user=_USER,
    run_as_group=_USER,
    fs_group=_USER,
    seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
)
_CONTAINER_SECURITY = SecurityContextArgs(
    allow_privilege_escalation=False,
    read_only_root_filesystem=True,
    capabilities=CapabilitiesArgs(drop=["ALL"]),
)


@dataclass(frozen=True)
class Workload:
    """What a team deploys."""

    name: str
    image: str
    ports: dict[str, int]
    """Name to number. /ready is asked for on the first."""
    stateful: bool = False
    """A StatefulSet with a headless Service, instead of a Deployment."""
    replicas: int = 1
    on_every_node: bool = False
    """Its Service opens a port on every node."""
    calls: tuple[str, ...] = ()
    """URLs that must answer before it is ready."""
    variables: dict[str, pulumi.Input[str]] = field(default_factory=dict)
    secret: str = ""
    """Name of a Secret to mount under /run/secrets/platform."""
    ingress: Sequence[NetworkPolicyIngressRuleArgs] = ()
    egress: pulumi.Input[Sequence[NetworkPolicyEgressRuleArgs]] = ()
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
                self.name, annotations={"k8ssec.dev/api-client": self.api_client} if self.api_client else None
            ),
            automount_service_account_token=team.posture.token_automount,
            opts=team.inside,
        )
        if not self.api_client:
            self._service(team, name)
        if team.posture.network_policies:
            self._policy(team, name)
        metadata = team.metadata(self.name, labels=self.labels)
        selector = LabelSelectorArgs(match_labels=self.labels)
        template = PodTemplateSpecArgs(metadata=ObjectMetaArgs(labels=self.labels), spec=self._pod(team))
        after = pulumi.ResourceOptions.merge(team.inside, pulumi.ResourceOptions(depends_on=[account]))
        if self.stateful:
            k8s.apps.v1.StatefulSet(
                name,
                metadata=metadata,
                spec=k8s.apps.v1.StatefulSetSpecArgs(
                    replicas=self.replicas, selector=selector, service_name=self.name, template=template
                ),
                opts=after,
            )
        else:
            k8s.apps.v1.Deployment(
                name,
                metadata=metadata,
                spec=k8s.apps.v1.DeploymentSpecArgs(replicas=self.replicas, selector=selector, template=template),
                opts=after,
            )

    def _pod(self, team: Team) -> PodSpecArgs:
        hardened = bool(team.posture.pod_security)
        volumes = [VolumeArgs(name="script", config_map=ConfigMapVolumeSourceArgs(name="service-script"))]
        if self.secret:
            source = SecretVolumeSourceArgs(secret_name=self.secret, default_mode=0o440)
            volumes.append(VolumeArgs(name="secret", secret=source))
        return PodSpecArgs(
            service_account_name=self.name,
            # A hardened account gives no token by itself: a declared client asks for it in its pod.
            automount_service_account_token=None if team.posture.token_automount else bool(self.api_client),
            termination_grace_period_seconds=2,
            containers=[self._container(hardened=hardened)],
            volumes=volumes,
            security_context=_POD_SECURITY if hardened else None,
        )

    def _container(self, *, hardened: bool) -> ContainerArgs:
        variables = {
            "NAME": self.name,
            "PORTS": ",".join(str(port) for port in self.ports.values()),
            "CALLS": " ".join(self.calls),
            "NEEDS": "/run/secrets/platform/key" if self.secret else "",
            **self.variables,
        }
        mounts = [VolumeMountArgs(name="script", mount_path="/app", read_only=True)]
        if self.secret:
            mounts.append(VolumeMountArgs(name="secret", mount_path="/run/secrets/platform", read_only=True))
        return ContainerArgs(
            name=self.name,
            image=self.image,
            image_pull_policy="IfNotPresent",
            command=["python3", "-B", "/app/service.py"],
            env=[EnvVarArgs(name=key, value=value) for key, value in variables.items()],
            ports=[ContainerPortArgs(name=name, container_port=port) for name, port in self.ports.items()],
            readiness_probe=ProbeArgs(
                http_get=HTTPGetActionArgs(path="/ready", port=next(iter(self.ports))),
                period_seconds=1,
                timeout_seconds=2,
                failure_threshold=5,
            ),
            resources=ResourceRequirementsArgs(
                requests={"cpu": "10m", "memory": "32Mi"}, limits={"cpu": "500m", "memory": "64Mi"}
            ),
            volume_mounts=mounts,
            security_context=_CONTAINER_SECURITY if hardened else None,
        )

    def _service(self, team: Team, name: str) -> None:
        k8s.core.v1.Service(
            name,
            # Pulumi waits until nothing has changed behind a Service for 10 s; its workload is waited for anyway.
            metadata=team.metadata(self.name, annotations={"pulumi.com/skipAwait": "true"}),
            spec=ServiceSpecArgs(
                type="NodePort" if self.on_every_node else None,
                cluster_ip="None" if self.stateful else None,
                selector=self.labels,
                ports=[ServicePortArgs(name=key, port=port, target_port=key) for key, port in self.ports.items()],
            ),
            opts=team.inside,
        )

    def _policy(self, team: Team, name: str) -> None:
        k8s.networking.v1.NetworkPolicy(
            name,
            metadata=team.metadata(self.name),
            spec=NetworkPolicySpecArgs(
                pod_selector=LabelSelectorArgs(match_labels=self.labels),
                policy_types=["Ingress", "Egress"],
                ingress=self.ingress,
                egress=self.egress,
            ),
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
