"""An operator of databases: its kind, an object of that kind, a webhook, and the job that writes the webhook's CA."""

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as k8s

GROUP = "databases.example.dev"
image = pulumi.Config().require("image")


def namespace(name: str) -> pulumi.ResourceOptions:
    """Make a namespace with what all of ours have; what is in it waits for all of that."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    made = k8s.core.v1.Namespace(name, metadata={"name": name, "labels": labels})
    bounds = {
        "type": "Container",
        "default": {"cpu": "500m", "memory": "128Mi"},
        "default_request": {"cpu": "10m", "memory": "32Mi"},
    }
    limits = k8s.core.v1.LimitRange(
        name,
        metadata={"name": "containers", "namespace": name},
        spec={"limits": [bounds]},
        opts=pulumi.ResourceOptions(depends_on=[made]),
    )
    return pulumi.ResourceOptions(depends_on=[made, limits])


home, data = namespace("db-operator"), namespace("data")


def account(name: str, why: str) -> k8s.core.v1.ServiceAccount:
    """An account that is declared a client of the API."""
    metadata = {"name": name, "namespace": "db-operator", "annotations": {"k8ssec.dev/api-client": why}}
    return k8s.core.v1.ServiceAccount(name, metadata=metadata, opts=home)


def rule(group: str, resources: Sequence[str], verbs: Sequence[str], names: Sequence[str] = ()) -> dict[str, object]:
    """One rule of a role."""
    found: dict[str, object] = {"api_groups": [group], "resources": [*resources], "verbs": [*verbs]}
    return {**found, "resource_names": [*names]} if names else found


def grant(name: str, to: str, rules: Sequence[dict[str, object]], inside: str = "") -> None:
    """A role and its binding, in one namespace or in the whole cluster."""
    kind = "Role" if inside else "ClusterRole"
    metadata = {"name": name, "namespace": inside} if inside else {"name": name}
    reference = {"api_group": "rbac.authorization.k8s.io", "kind": kind, "name": name}
    subjects = [{"kind": "ServiceAccount", "name": to, "namespace": "db-operator"}]
    rbac = k8s.rbac.v1
    role, binding = (rbac.Role, rbac.RoleBinding) if inside else (rbac.ClusterRole, rbac.ClusterRoleBinding)
    role(name, metadata=metadata, rules=[*rules], opts=data if inside else None)
    binding(name, metadata=metadata, role_ref=reference, subjects=subjects, opts=data if inside else None)


def pod(name: str, command: Sequence[str], as_account: str, **more: object) -> dict[str, object]:
    """A template of one careful container."""
    careful = {
        "allow_privilege_escalation": False,
        "read_only_root_filesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    return {
        "metadata": {"labels": {"app": name}},
        "spec": {
            "service_account_name": as_account,
            "security_context": {
                "run_as_non_root": True,
                "run_as_user": 65532,
                "seccomp_profile": {"type": "RuntimeDefault"},
            },
            "containers": [{"name": name, "image": image, "command": [*command], "security_context": careful}],
            **more,
        },
    }


crd = k8s.apiextensions.v1.CustomResourceDefinition(
    "databases",
    metadata={"name": f"databases.{GROUP}"},
    spec={
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"kind": "Database", "plural": "databases", "singular": "database"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "string"}}}},
                    }
                },
            }
        ],
    },
)
k8s.apiextensions.CustomResource(
    "orders",
    api_version=f"{GROUP}/v1",
    kind="Database",
    metadata={"name": "orders", "namespace": "data"},
    spec={"size": "small"},
    opts=pulumi.ResourceOptions.merge(data, pulumi.ResourceOptions(depends_on=[crd])),
)
k8s.core.v1.Secret(
    "orders", metadata={"name": "orders", "namespace": "data"}, string_data={"user": "orders"}, opts=data
)

operator = account("operator", "looks after databases")
grant("db-operator", "operator", [rule(GROUP, ["databases", "databases/status"], ["get", "list", "watch", "update"])])
grant(
    "db-operator-data",
    "operator",
    [
        rule("apps", ["statefulsets"], ["get", "list", "watch", "create", "update", "patch"]),
        rule("", ["secrets"], ["get"], ["orders"]),
    ],
    inside="data",
)
k8s.apps.v1.Deployment(
    "operator",
    metadata={"name": "operator", "namespace": "db-operator"},
    spec={
        "selector": {"match_labels": {"app": "operator"}},
        "template": pod("operator", ["python3", "-m", "http.server", "9443"], "operator"),
    },
    opts=pulumi.ResourceOptions.merge(home, pulumi.ResourceOptions(depends_on=[operator])),
)
k8s.core.v1.Service(
    "webhook",
    metadata={"name": "webhook", "namespace": "db-operator"},
    spec={"selector": {"app": "operator"}, "ports": [{"port": 443, "target_port": 9443}]},
    opts=home,
)
# It stands in the way of nothing but the removal of a database: then it must answer, or else there is none.
k8s.admissionregistration.v1.ValidatingWebhookConfiguration(
    "databases",
    metadata={"name": "databases"},
    webhooks=[
        {
            "name": f"keep.{GROUP}",
            "admission_review_versions": ["v1"],
            "side_effects": "None",
            "failure_policy": "Fail",
            "client_config": {"service": {"name": "webhook", "namespace": "db-operator", "path": "/keep"}},
            "rules": [
                {"api_groups": [GROUP], "api_versions": ["v1"], "operations": ["DELETE"], "resources": ["databases"]}
            ],
        }
    ],
)

# The mistake: it writes one webhook's CA, and may change every webhook of the cluster.
certgen = account("certgen", "writes the webhook's CA")
hooks = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"]
grant("db-operator-certgen", "certgen", [rule("admissionregistration.k8s.io", hooks, ["get", "update", "patch"])])
k8s.batch.v1.Job(
    "certgen",
    metadata={"name": "certgen", "namespace": "db-operator"},
    spec={"template": pod("certgen", ["python3", "-c", "pass"], "certgen", restart_policy="Never")},
    opts=pulumi.ResourceOptions.merge(home, pulumi.ResourceOptions(depends_on=[certgen])),
)
