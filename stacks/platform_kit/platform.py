"""The platform: who runs what, and who may talk to whom.

storefront (web) --8080--> api (payments) --9000--> ledger (payments)
reporter (batch) --8081--> api (payments)            reporter --> Kubernetes API: one ConfigMap
"""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.networking.v1 import (
    IPBlockArgs,
    NetworkPolicyEgressRuleArgs,
    NetworkPolicyIngressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicyPortArgs,
)
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgs, RoleRefArgs, SubjectArgs

from platform_kit import admission, settings
from platform_kit.posture import Posture
from platform_kit.team import Team, peer
from platform_kit.workload import Workload, script

_STOREFRONT = {"app.kubernetes.io/name": "storefront"}
_API = {"app.kubernetes.io/name": "api"}
_LEDGER = {"app.kubernetes.io/name": "ledger"}
_REPORTER = {"app.kubernetes.io/name": "reporter"}
_REPORT_SETTINGS = "report-settings"
_RBAC = "rbac.authorization.k8s.io"


def build(posture: Posture) -> None:
    """Deploy the platform in this posture."""
    config = settings.read()
    if posture.admission_policies:
        admission.allow_registries(config.registries)
    web, payments, batch = (Team(name, posture) for name in ("web", "payments", "batch"))
    for team in (web, payments, batch):
        script(team)
    _web(web, config)
    _payments(payments, config)
    _batch(batch, config)
    if posture.anonymous_may_view:
        _anonymous_may_view()
    pulumi.export("storefront", "http://storefront.web.svc:8080")
    pulumi.export("paymentsApiKey", config.payments_api_key)


def _anonymous_may_view() -> None:
    k8s.rbac.v1.ClusterRoleBinding(
        "status-page",
        metadata={"name": "status-page"},
        role_ref=_role("ClusterRole", "view"),
        subjects=[SubjectArgs(api_group=_RBAC, kind="User", name="system:anonymous")],
    )


def _web(team: Team, config: settings.Settings) -> None:
    Workload(
        name="storefront",
        image=config.image,
        ports={"http": 8080},
        replicas=2,
        on_every_node=team.posture.shop_on_every_node,
        calls=("http://api.payments.svc:8080/",),
        # Customers come through the cluster's ingress controller, wherever one is installed.
        ingress=[_from(8080, "ingress", {"app.kubernetes.io/component": "controller"})],
        egress=[_to(8080, "payments", _API)],
    ).deploy(team)


def _payments(team: Team, config: settings.Settings) -> None:
    in_plain = team.posture.key_in_plain_variable
    if not in_plain:
        k8s.core.v1.Secret(
            "payments-bank-api-key",
            metadata=team.metadata("bank-api-key"),
            string_data={"key": config.payments_api_key},
            opts=team.inside,
        )
    Workload(
        name="api",
        image=config.image,
        ports={"http": 8080, "reports": 8081},
        calls=("http://ledger-0.ledger.payments.svc:9000/",),
        ingress=[_from(8080, "web", _STOREFRONT), _from(8081, "batch", _REPORTER)],
        egress=[_to(9000, "payments", _LEDGER)],
        variables={"BANK_API_KEY": config.payments_api_key} if in_plain else {},
        secret="" if in_plain else "bank-api-key",
    ).deploy(team)
    Workload(
        name="ledger",
        image=config.image,
        ports={"ledger": 9000},
        stateful=True,
        ingress=[_from(9000, "payments", _API)],
    ).deploy(team)


def _batch(team: Team, config: settings.Settings) -> None:
    k8s.core.v1.ConfigMap(
        "batch-report-settings", metadata=team.metadata(_REPORT_SETTINGS), data={"every": "24h"}, opts=team.inside
    )
    _reporter_rights(team)
    Workload(
        name="reporter",
        image=config.image,
        ports={"health": 8080},
        calls=("http://api.payments.svc:8081/", f"api:/api/v1/namespaces/batch/configmaps/{_REPORT_SETTINGS}"),
        egress=_api_server_rules(team).apply(lambda rules: [_to(8081, "payments", _API), *rules]),
        api_client=f"reads its schedule from ConfigMap {_REPORT_SETTINGS}",
    ).deploy(team)


def _reporter_rights(team: Team) -> None:
    subjects = [SubjectArgs(kind="ServiceAccount", name="reporter", namespace=team.name)]
    if team.posture.reporter_is_admin:
        k8s.rbac.v1.ClusterRoleBinding(
            "reporter-admin",
            metadata={"name": "reporter-admin"},
            role_ref=_role("ClusterRole", "cluster-admin"),
            subjects=subjects,
        )
        return
    k8s.rbac.v1.Role(
        "batch-report-settings",
        metadata=team.metadata(_REPORT_SETTINGS),
        rules=[
            PolicyRuleArgs(api_groups=[""], resources=["configmaps"], resource_names=[_REPORT_SETTINGS], verbs=["get"])
        ],
        opts=team.inside,
    )
    k8s.rbac.v1.RoleBinding(
        "batch-report-settings",
        metadata=team.metadata(_REPORT_SETTINGS),
        role_ref=_role("Role", _REPORT_SETTINGS),
        subjects=subjects,
        opts=team.inside,
    )


def _api_server_rules(team: Team) -> pulumi.Output[list[NetworkPolicyEgressRuleArgs]]:
    """Egress to the API servers' own addresses: policies are applied after a Service's address was translated."""
    if not team.posture.network_policies:
        return pulumi.Output.from_input([])
    slices = k8s.discovery.v1.EndpointSlice.get("api-server", "default/kubernetes")
    return pulumi.Output.all(slices.endpoints, slices.ports).apply(
        lambda found: [
            NetworkPolicyEgressRuleArgs(
                to=[NetworkPolicyPeerArgs(ip_block=IPBlockArgs(cidr=f"{address}/{128 if ':' in address else 32}"))],
                ports=[NetworkPolicyPortArgs(port=port["port"])],
            )
            for endpoint in found[0]
            for address in endpoint["addresses"]
            for port in found[1]
        ]
    )


def _role(kind: str, name: str) -> RoleRefArgs:
    return RoleRefArgs(api_group=_RBAC, kind=kind, name=name)


def _from(port: int, namespace: str, labels: dict[str, str]) -> NetworkPolicyIngressRuleArgs:
    return NetworkPolicyIngressRuleArgs(from_=[peer(namespace, labels)], ports=[NetworkPolicyPortArgs(port=port)])


def _to(port: int, namespace: str, labels: dict[str, str]) -> NetworkPolicyEgressRuleArgs:
    return NetworkPolicyEgressRuleArgs(to=[peer(namespace, labels)], ports=[NetworkPolicyPortArgs(port=port)])
