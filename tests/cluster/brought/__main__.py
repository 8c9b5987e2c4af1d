"""A broker from the chart of stacks/corpus, and an operator that makes a Deployment; careful containers or not."""

import json
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

HERE = Path(__file__).parent
config = pulumi.Config()
image = config.require("image")
# The same for who does it right, here and in what is made.
SAFE = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
security = SAFE if config.get("careful") == "yes" else {}

made = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "made", "namespace": "brought"},
    "spec": {
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": {"app": "made"}},
        "template": {
            "metadata": {"labels": {"app": "made"}},
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {
                        "name": "made",
                        "image": image,
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["python3", "-c", "import time; time.sleep(1e6)"],
                        "securityContext": security,
                    }
                ],
            },
        },
    },
}

namespace = k8s.core.v1.Namespace("brought", metadata={"name": "brought"})
inside = pulumi.ResourceOptions(depends_on=[namespace])
k8s.helm.v3.Release(
    "broker",
    name="broker",
    chart=str(HERE.parents[2] / "stacks" / "corpus" / "helm_release" / "chart"),
    namespace="brought",
    values={"image": image, "auth": {"password": "a-password"}, "securityContext": security},
    opts=inside,
)
k8s.core.v1.ServiceAccount("operator", metadata={"name": "operator", "namespace": "brought"}, opts=inside)
role = k8s.rbac.v1.Role(
    "operator",
    metadata={"name": "operator", "namespace": "brought"},
    rules=[{"api_groups": ["apps"], "resources": ["deployments"], "verbs": ["get", "create", "patch"]}],
    opts=inside,
)
binding = k8s.rbac.v1.RoleBinding(
    "operator",
    metadata={"name": "operator", "namespace": "brought"},
    role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"},
    subjects=[{"kind": "ServiceAccount", "name": "operator", "namespace": "brought"}],
    opts=inside,
)
k8s.apps.v1.Deployment(
    "operator",
    metadata={"name": "operator", "namespace": "brought"},
    spec={
        "strategy": {"type": "Recreate"},
        "selector": {"match_labels": {"app": "operator"}},
        "template": {
            "metadata": {"labels": {"app": "operator"}},
            "spec": {
                "service_account_name": "operator",
                "termination_grace_period_seconds": 0,
                "volumes": [{"name": "done", "empty_dir": {}}],
                "containers": [
                    {
                        "name": "operator",
                        "image": image,
                        "image_pull_policy": "IfNotPresent",
                        "command": ["python3", "-c", (HERE / "operate.py").read_text(), json.dumps(made)],
                        "security_context": SAFE,
                        "volume_mounts": [{"name": "done", "mount_path": "/done"}],
                        # Ready once what it makes runs, so that a test need not wait.
                        "readiness_probe": {"exec": {"command": ["cat", "/done/made"]}, "period_seconds": 1},
                    }
                ],
            },
        },
    },
    opts=pulumi.ResourceOptions(depends_on=[role, binding]),
)
