"""A team's namespace, and the rails that every namespace of the platform has."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.networking.v1 import (
    NetworkPolicyEgressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicyPortArgs,
    NetworkPolicySpecArgs,
)

from platform_kit.posture import Posture

TEAM = "platform.example.com/team"
"""Label of every namespace of the platform; admission policies select by it."""
_DNS_PORTS = [NetworkPolicyPortArgs(port=53, protocol=protocol) for protocol in ("UDP", "TCP")]


class Team:
    """A namespace with its guard rails.

    Args:
        name: the namespace's, too.
    """

    def __init__(self, name: str, posture: Posture) -> None:
        self.name = name
        self.posture = posture
        labels = {TEAM: name}
        if posture.pod_security:
            for mode in ("enforce", "audit", "warn"):
                labels[f"pod-security.kubernetes.io/{mode}"] = posture.pod_security
                labels[f"pod-security.kubernetes.io/{mode}-version"] = "latest"
        namespace = k8s.core.v1.Namespace(name, metadata={"name": name, "labels": labels})
        self.inside = pulumi.ResourceOptions(depends_on=[namespace])
        if not posture.token_automount:
            self._default_account_without_token()
        if posture.quotas:
            self._bound()
        if posture.network_policies:
            self._deny_all()

    def metadata(
        self, name: str, *, labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None
    ) -> ObjectMetaArgs:
        """Metadata of an object in this namespace.

        The namespace's name is plain text, and ``inside`` the dependency, so that a preview shows where objects go.
        """
        return ObjectMetaArgs(name=name, namespace=self.name, labels=labels, annotations=annotations)

    def _default_account_without_token(self) -> None:
        """Kubernetes makes that account by itself, so it is patched."""
        k8s.core.v1.ServiceAccountPatch(
            f"{self.name}-default",
            metadata=self.metadata("default"),
            automount_service_account_token=False,
            opts=self.inside,
        )

    def _bound(self) -> None:
        k8s.core.v1.ResourceQuota(
            f"{self.name}-quota",
            metadata=self.metadata("team"),
            spec={
                "hard": {
                    "pods": "24",
                    "requests.cpu": "1",
                    "requests.memory": "1Gi",
                    "limits.cpu": "12",
                    "limits.memory": "4Gi",
                    "services.loadbalancers": "0",
                    "services.nodeports": "0",
                }
            },
            opts=self.inside,
        )
        k8s.core.v1.LimitRange(
            f"{self.name}-limits",
            metadata=self.metadata("containers"),
            spec={
                "limits": [
                    {
                        "type": "Container",
                        "default": {"cpu": "500m", "memory": "128Mi"},
                        "default_request": {"cpu": "10m", "memory": "32Mi"},
                        "max": {"cpu": "1", "memory": "512Mi"},
                    }
                ]
            },
            opts=self.inside,
        )

    def _deny_all(self) -> None:
        k8s.networking.v1.NetworkPolicy(
            f"{self.name}-default-deny",
            metadata=self.metadata("default-deny"),
            spec={"pod_selector": {}, "policy_types": ["Ingress", "Egress"]},
            opts=self.inside,
        )
        k8s.networking.v1.NetworkPolicy(
            f"{self.name}-dns",
            metadata=self.metadata("dns"),
            spec=NetworkPolicySpecArgs(
                pod_selector=LabelSelectorArgs(),
                policy_types=["Egress"],
                egress=[
                    NetworkPolicyEgressRuleArgs(to=[peer("kube-system", {"k8s-app": "kube-dns"})], ports=_DNS_PORTS)
                ],
            ),
            opts=self.inside,
        )


def peer(namespace: str, labels: dict[str, str]) -> NetworkPolicyPeerArgs:
    """The pods of one namespace that have these labels, as a network policy's ``from`` or ``to``."""
    return NetworkPolicyPeerArgs(
        namespace_selector=LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": namespace}),
        pod_selector=LabelSelectorArgs(match_labels=labels),
    )
