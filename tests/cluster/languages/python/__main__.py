"""A small shop, once more in ../yaml and in ../typescript: a careful workload, and one that runs as root."""

import pulumi
import pulumi_kubernetes as k8s

image = pulumi.Config().require("image")
namespace = k8s.core.v1.Namespace("shop", metadata={"name": "shop"})
inside = pulumi.ResourceOptions(depends_on=[namespace])


def deploy(name: str, security: dict[str, object]) -> None:
    """A Deployment of one pod that does nothing, and its account."""
    account = k8s.core.v1.ServiceAccount(
        name, metadata={"name": name, "namespace": "shop"}, automount_service_account_token=False, opts=inside
    )
    k8s.apps.v1.Deployment(
        name,
        metadata={"name": name, "namespace": "shop"},
        spec={
            "selector": {"match_labels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "service_account_name": name,
                    "containers": [
                        {
                            "name": name,
                            "image": image,
                            "image_pull_policy": "IfNotPresent",
                            "command": ["python3", "-c", "import time; time.sleep(1e6)"],
                            "security_context": security,
                        }
                    ],
                },
            },
        },
        opts=pulumi.ResourceOptions(depends_on=[namespace, account]),
    )


careful = {
    "run_as_non_root": True,
    "run_as_user": 65532,
    "allow_privilege_escalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccomp_profile": {"type": "RuntimeDefault"},
}
deploy("careful", careful)
deploy("careless", {"privileged": True})
pulumi.export("image", image)
