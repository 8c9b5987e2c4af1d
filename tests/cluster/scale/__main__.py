"""Many pairs of a server and its client: each pair in a namespace, each workload with an account of its own."""

import pulumi
import pulumi_kubernetes as k8s

config = pulumi.Config()
image, workloads = config.require("image"), config.require_int("workloads")
climber, into = config.require_int("climber"), config.require_int("into")
open_to_all, writable = config.require_int("openToAll"), config.require_int("writable")
PORT = 8080
SERVER = """
import signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
listener = socket.create_server(("", int(sys.argv[1])))
while True:
    listener.accept()[0].close()
"""
DNS = {
    "to": [
        {
            "namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": "kube-system"}},
            "pod_selector": {"match_labels": {"k8s-app": "kube-dns"}},
        }
    ],
    "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
}
RBAC = "rbac.authorization.k8s.io"

k8s.rbac.v1.ClusterRole(
    "scale-reader",
    metadata={"name": "scale-reader"},
    rules=[{"api_groups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}],
)


def policies(space: str, server: str, client: str, inside: pulumi.ResourceOptions, *, forgets: bool) -> None:
    """Nothing but DNS gets out, and the client alone gets in; or, if the namespace is forgotten, whoever wears its label."""
    everywhere: dict[str, object] = {"namespace_selector": {}} if forgets else {}
    k8s.networking.v1.NetworkPolicy(
        f"{space}-default",
        metadata={"name": "default", "namespace": space},
        spec={"pod_selector": {}, "policy_types": ["Ingress", "Egress"], "egress": [DNS]},
        opts=inside,
    )
    k8s.networking.v1.NetworkPolicy(
        f"{space}-server",
        metadata={"name": "server", "namespace": space},
        spec={
            "pod_selector": {"match_labels": {"app": server}},
            "policy_types": ["Ingress"],
            "ingress": [
                {"from": [{"pod_selector": {"match_labels": {"app": client}}, **everywhere}], "ports": [{"port": PORT}]}
            ],
        },
        opts=inside,
    )


def bound(name: str, space: str, account: str, home: str, role: dict[str, str], inside: pulumi.ResourceOptions) -> None:
    """Bind an account to a role in a namespace."""
    k8s.rbac.v1.RoleBinding(
        f"{space}-{name}",
        metadata={"name": name, "namespace": space},
        role_ref={"api_group": RBAC, **role},
        subjects=[{"kind": "ServiceAccount", "name": account, "namespace": home}],
        opts=inside,
    )


def role(name: str, space: str, rule: dict[str, list[str]], inside: pulumi.ResourceOptions) -> dict[str, str]:
    """A role of one rule; how a binding names it."""
    k8s.rbac.v1.Role(f"{space}-{name}", metadata={"name": name, "namespace": space}, rules=[rule], opts=inside)
    return {"kind": "Role", "name": name}


def namespace_of(number: int) -> str:
    """Two workloads stand in one: a server, and the client that it lets in."""
    return f"s{number // 2}"


def workload(number: int, space: str, inside: pulumi.ResourceOptions) -> None:
    """A Deployment of one pod, with an account that may read some ConfigMaps, or one, or none."""
    name = f"w{number}"
    account = k8s.core.v1.ServiceAccount(
        name, metadata={"name": name, "namespace": space}, automount_service_account_token=False, opts=inside
    )
    if number % 2 == 0:
        bound(name, space, name, space, {"kind": "ClusterRole", "name": "scale-reader"}, inside)
    elif number % 4 == 1:
        rule = {"api_groups": [""], "resources": ["configmaps"], "resource_names": [name], "verbs": ["get"]}
        bound(name, space, name, space, role(name, space, rule, inside), inside)
    command = ["python3", "-SEc", SERVER, str(PORT)] if number % 2 == 0 else ["sleep", "infinity"]
    container = {
        "name": "main",
        "image": image,
        "image_pull_policy": "IfNotPresent",
        "command": command,
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "64Mi"}},
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": 65532,
            "allow_privilege_escalation": False,
            "read_only_root_filesystem": number != writable,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    k8s.apps.v1.Deployment(
        name,
        metadata={"name": name, "namespace": space},
        spec={
            "selector": {"match_labels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name, "scale": "yes"}},
                "spec": {
                    "service_account_name": name,
                    "enable_service_links": False,
                    "termination_grace_period_seconds": 0,
                    "tolerations": [{"operator": "Exists"}],
                    "topology_spread_constraints": [
                        {
                            "max_skew": 1,
                            "topology_key": "kubernetes.io/hostname",
                            "when_unsatisfiable": "ScheduleAnyway",
                            "label_selector": {"match_labels": {"app": name}},
                        }
                    ],
                    "security_context": {"seccomp_profile": {"type": "RuntimeDefault"}},
                    "containers": [container],
                },
            },
        },
        opts=pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(depends_on=[account])),
    )


homes: dict[int, pulumi.ResourceOptions] = {}
for number in range(0, workloads, 2):
    space = namespace_of(number)
    made = k8s.core.v1.Namespace(
        space, metadata={"name": space, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    )
    homes[number // 2] = inside = pulumi.ResourceOptions(depends_on=[made])
    k8s.core.v1.ServiceAccountPatch(
        f"{space}-default",
        metadata={"name": "default", "namespace": space},
        automount_service_account_token=False,
        opts=inside,
    )
    policies(space, f"w{number}", f"w{number + 1}", inside, forgets=number == open_to_all)
    workload(number, space, inside)
    workload(number + 1, space, inside)

makes_pods = role("climb", f"s{into}", {"api_groups": [""], "resources": ["pods"], "verbs": ["create"]}, homes[into])
bound("climb", f"s{into}", f"w{climber}", namespace_of(climber), makes_pods, homes[into])
