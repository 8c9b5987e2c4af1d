"""A collector whose template was mended while its pod was not, as updates wait for somebody; and a queue like it."""

import pulumi
import pulumi_kubernetes as k8s

image = pulumi.Config().require("image")
namespace = k8s.core.v1.Namespace(
    "edge", metadata={"name": "edge", "labels": {"pod-security.kubernetes.io/enforce": "baseline"}}
)
inside = pulumi.ResourceOptions(depends_on=[namespace])
k8s.core.v1.ServiceAccountPatch(
    "default", metadata={"name": "default", "namespace": "edge"}, automount_service_account_token=False, opts=inside
)
policies = [
    k8s.networking.v1.NetworkPolicy(
        "default-deny",
        metadata={"name": "default-deny", "namespace": "edge"},
        spec={"pod_selector": {}, "policy_types": ["Ingress", "Egress"]},
        opts=inside,
    ),
    k8s.networking.v1.NetworkPolicy(
        "dns",
        metadata={"name": "dns", "namespace": "edge"},
        spec={
            "pod_selector": {},
            "policy_types": ["Egress"],
            "egress": [
                {
                    "to": [
                        {
                            "namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": "kube-system"}},
                            "pod_selector": {"match_labels": {"k8s-app": "kube-dns"}},
                        }
                    ],
                    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
                }
            ],
        },
        opts=inside,
    ),
    k8s.networking.v1.NetworkPolicy(
        "queue",
        metadata={"name": "queue", "namespace": "edge"},
        spec={
            "pod_selector": {"match_labels": {"app": "queue"}},
            "policy_types": ["Ingress"],
            "ingress": [
                {"from": [{"pod_selector": {"match_labels": {"app": "collector"}}}], "ports": [{"port": 5672}]}
            ],
        },
        opts=inside,
    ),
]
account = k8s.core.v1.ServiceAccount(
    "edge", metadata={"name": "edge", "namespace": "edge"}, automount_service_account_token=False, opts=inside
)
after = pulumi.ResourceOptions(depends_on=[namespace, account, *policies])
CAREFUL = {
    "run_as_non_root": True,
    "run_as_user": 65532,
    "allow_privilege_escalation": False,
    "read_only_root_filesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
SECCOMP = {"seccomp_profile": {"type": "RuntimeDefault"}}


def container(name: str, command: list[str], security: dict[str, object]) -> dict[str, object]:
    return {"name": name, "image": image, "command": command, "security_context": security}


collector = k8s.apps.v1.DaemonSet(
    "collector",
    metadata={"name": "collector", "namespace": "edge"},
    spec={
        "update_strategy": {"type": "OnDelete"},
        "selector": {"match_labels": {"app": "collector"}},
        "template": {
            "metadata": {"labels": {"app": "collector"}},
            "spec": {
                "service_account_name": "edge",
                "security_context": SECCOMP,
                "containers": [
                    # The mistake: it is root. The template is mended below; the pod stays as it is.
                    container(
                        "collector",
                        ["python3", "-c", "import time; time.sleep(1e6)"],
                        {
                            "run_as_user": 0,
                            "allow_privilege_escalation": False,
                            "read_only_root_filesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    )
                ],
            },
        },
    },
    opts=after,
)
k8s.apps.v1.DaemonSetPatch(
    "collector-mended",
    metadata={
        "name": "collector",
        "namespace": "edge",
        "annotations": {"pulumi.com/patchForce": "true", "pulumi.com/skipAwait": "true"},
    },
    spec={
        "template": {
            "spec": {
                "containers": [
                    {"name": "collector", "security_context": {"run_as_user": 65532, "run_as_non_root": True}}
                ]
            }
        }
    },
    opts=pulumi.ResourceOptions(depends_on=[collector]),
)
k8s.core.v1.Service(
    "queue",
    metadata={"name": "queue", "namespace": "edge"},
    spec={"cluster_ip": "None", "selector": {"app": "queue"}, "ports": [{"port": 5672}]},
    opts=inside,
)
k8s.apps.v1.StatefulSet(
    "queue",
    metadata={"name": "queue", "namespace": "edge"},
    spec={
        "replicas": 2,
        "pod_management_policy": "Parallel",
        "service_name": "queue",
        "update_strategy": {"type": "OnDelete"},
        "selector": {"match_labels": {"app": "queue"}},
        "template": {
            "metadata": {"labels": {"app": "queue"}},
            "spec": {
                "service_account_name": "edge",
                "security_context": SECCOMP,
                "containers": [container("queue", ["python3", "-m", "http.server", "5672"], CAREFUL)],
            },
        },
    },
    opts=after,
)
