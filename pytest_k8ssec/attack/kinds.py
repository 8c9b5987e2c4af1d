"""The table of edge kinds: what an attacker does, in which order, by which technique, and what would cut it.

Order and proofs are the catalogue's: cheapest first. A kind without a fix is a consequence that nobody can cut.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_k8ssec.catalogue.frameworks import reference


@dataclass(frozen=True, slots=True)
class EdgeKind:
    """One way from one thing to the next."""

    name: str
    order: int
    """Group of the walk that finds it, 1 to 8."""
    words: str
    """What the attacker does, for a reader: ``reads the token of``."""
    technique: str
    """MITRE ATT&CK."""
    controls: tuple[str, ...] = ()
    """Ids of the controls that are breached while it is open; what fixes them cuts it."""
    fix: str = ""
    """The smallest change that cuts it; ``{source}`` and ``{target}`` are the two ends' names."""

    def __str__(self) -> str:
        return self.name


_KINDS = (
    EdgeKind("enter", 1, "runs in", "T1609"),
    EdgeKind("volume-discover", 1, "mounts", "T1613"),
    EdgeKind(
        "secret-volume", 1, "reads a mounted file of", "T1552.001", (),
        "mount {target} only where it is used, and only the keys that are",
    ),
    EdgeKind(
        "secret-variable", 1, "has in its environment", "T1552.007", (),
        "take {target} out of the variables of {source}",
    ),
    EdgeKind(
        "token-steal", 1, "reads the token of", "T1528", ("id-token-automount",),
        "set automountServiceAccountToken: false on the pods of {source}",
    ),
    EdgeKind(
        "credential-use", 1, "holds a credential, and logs in as", "T1078", ("id-credentials",),
        "take the credential of {target} out of the files and variables of {source}",
    ),
    EdgeKind("permission-discover", 2, "has the rights of", "T1613"),
    EdgeKind(
        "secrets-list", 3, "lists the Secrets, and so has", "T1552.007", ("rbac-secrets-read",),
        "take list and watch on secrets out of the roles of {source}",
    ),
    EdgeKind(
        "secrets-get", 3, "gets", "T1552.007", ("rbac-secrets-read",),
        "take get on secrets out of the roles of {source}",
    ),
    EdgeKind(
        "role-bind", 4, "binds itself to", "T1098.006", ("rbac-cluster-admin", "rbac-escalation"),
        "remove the binding that lets {source} write role bindings and bind roles",
    ),
    EdgeKind(
        "role-escalate", 4, "writes itself a role over", "T1098.006", ("rbac-escalation",),
        "take escalate on roles out of the roles of {source}",
    ),
    EdgeKind(
        "pod-create", 4, "runs pods of its own in", "T1610", ("rbac-escalation",),
        "take create on pods and on what makes pods out of the roles of {source}",
    ),
    EdgeKind(
        "pod-privileged", 4, "runs privileged pods on", "T1611", ("adm-psa", "rbac-escalation"),
        "enforce Pod Security baseline or restricted where {source} may create pods",
    ),
    EdgeKind(
        "pod-patch", 4, "changes the pods of", "T1610", ("rbac-escalation",),
        "take patch and update on workloads and on pods/ephemeralcontainers out of the roles of {source}",
    ),
    EdgeKind(
        "pod-exec", 4, "runs commands in", "T1609", ("rbac-escalation",),
        "take pods/exec out of the roles of {source}",
    ),
    EdgeKind(
        "token-request", 4, "gets a token of", "T1528", ("rbac-escalation",),
        "take create on serviceaccounts/token out of the roles of {source}",
    ),
    EdgeKind(
        "impersonate", 4, "acts as", "T1078", ("rbac-escalation",),
        "take impersonate out of the roles of {source}",
    ),
    EdgeKind(
        "certificate-approve", 4, "approves a certificate of", "T1098.006", ("rbac-escalation",),
        "take update on certificatesigningrequests/approval out of the roles of {source}",
    ),
    EdgeKind(
        "webhook-create", 4, "sees and changes every write to", "T1557", ("rbac-escalation",),
        "take create on webhook configurations out of the roles of {source}",
    ),
    EdgeKind(
        "volume-create", 4, "makes a volume of the files of", "T1611", ("rbac-escalation",),
        "take create on persistentvolumes out of the roles of {source}",
    ),
    EdgeKind(
        "token-make", 4, "makes and reads a token of", "T1528", ("rbac-escalation", "rbac-secrets-read"),
        "take create on secrets out of the roles of {source}",
    ),
    EdgeKind(
        "role-take", 4, "binds itself to", "T1098.006", ("rbac-escalation",),
        "take bind on roles out of the roles of {source}",
    ),
    EdgeKind(
        "pod-attach", 4, "reads and writes what passes through", "T1609", ("rbac-escalation",),
        "take pods/attach out of the roles of {source}",
    ),
    EdgeKind(
        "api-proxy", 4, "reaches, through the API server, what listens at", "T1046", ("rbac-escalation",),
        "take pods/portforward, and proxy of pods, services and nodes, out of the roles of {source}",
    ),
    EdgeKind(
        "policy-write", 4, "changes, by an admission policy, every write to", "T1557", ("rbac-escalation",),
        "take mutatingadmissionpolicies and their bindings out of the roles of {source}",
    ),
    EdgeKind(
        "api-answer", 4, "may", "T1557", ("rbac-escalation",),
        "take the right to {target} out of the roles of {source}",
    ),
    EdgeKind(
        "defence-undo", 4, "may", "T1685", ("rbac-escalation",),
        "take the right to {target} out of the roles of {source}",
    ),
    EdgeKind(
        "endpoint", 5, "connects to", "T1046", ("net-egress-deny", "net-controlplane", "net-ingress-deny"),
        "deny egress from {source} by a NetworkPolicy, but to what it calls",
    ),
    EdgeKind(
        "kubelet-anonymous", 5, "runs commands, without credentials, by", "T1609", ("kubelet-anon", "kubelet-authz"),
        "set authentication.anonymous.enabled: false and authorization.mode: Webhook for {target}",
    ),
    EdgeKind(
        "kubelet-exec", 5, "runs commands, past the API server's log, by", "T1609", ("rbac-nodes-proxy",),
        "take nodes/proxy out of the roles of {source}",
    ),
    EdgeKind(
        "etcd-read", 5, "reads and writes, without credentials,", "T1552", ("etcd-client-auth", "etcd-exposed"),
        "set --client-cert-auth and --trusted-ca-file for etcd",
    ),
    EdgeKind(
        "metadata", 5, "asks for cloud credentials", "T1552.005", ("net-metadata",),
        "except 169.254.169.254/32 from the egress of {source}",
    ),
    EdgeKind(
        "bootstrap-token", 6, "shows kind's public bootstrap token as", "T1078.001", ("id-bootstrap-token",),
        "kubeadm token delete, once all nodes have joined",
    ),
    EdgeKind(
        "bootstrap-join", 6, "asks for a certificate of", "T1078.001", ("id-bootstrap-token",),
        "remove the binding of system:bootstrappers to system:node-bootstrapper",
    ),
    EdgeKind(
        "host-read", 7, "reads files of", "T1611", ("wl-host-access",),
        "take the hostPath volumes and hostPID out of {source}",
    ),
    EdgeKind(
        "host-write", 7, "writes files of", "T1611", ("wl-host-access",),
        "take the hostPath volumes out of {source}, or mount them readOnly and run as no root",
    ),
    EdgeKind(
        "token-paths", 7, "reads the keys and tokens that lie on", "T1528", ("wl-host-access", "wl-privilege"),
        "take the hostPath volumes over /var/lib/kubelet, /etc/kubernetes and /var/lib/etcd, and DAC_READ_SEARCH, out of {source}",
    ),
    EdgeKind(
        "host-namespace", 7, "shares", "T1611", ("wl-host-access",),
        "take hostPID, hostIPC and hostNetwork out of {source}",
    ),
    EdgeKind(
        "nsenter", 7, "enters the processes of", "T1611", ("wl-host-access", "wl-privilege"),
        "take hostPID out of {source}, and drop all capabilities",
    ),
    EdgeKind(
        "cri-socket", 7, "commands the container runtime of", "T1611", ("wl-host-access",),
        "take the runtime's socket out of the volumes of {source}",
    ),
    EdgeKind(
        "privileged-mount", 7, "mounts the disks of", "T1611", ("wl-privilege",),
        "take privileged and SYS_ADMIN out of {source}",
    ),
    EdgeKind(
        "ptrace", 7, "takes over processes of", "T1611", ("wl-privilege", "wl-host-access"),
        "take SYS_PTRACE and hostPID out of {source}",
    ),
    EdgeKind(
        "module-load", 7, "loads a module into the kernel of", "T1611", ("wl-privilege",),
        "take privileged and SYS_MODULE out of {source}",
    ),
    EdgeKind(
        "core-pattern", 7, "has its program started by the kernel of", "T1611", ("wl-privilege",),
        "take privileged and hostPath volumes over /proc out of {source}: /proc/sys is then read-only",
    ),
    EdgeKind("placement", 8, "has all that runs on it:", "T1552.001"),
    EdgeKind("pod-owns", 8, "has what the pod has:", "T1552.001"),
    EdgeKind("node-authorizer", 8, "is given, as the kubelet of its pods,", "T1552.007"),
    EdgeKind("node-join", 8, "joins a node", "T1078.001"),
    EdgeKind("secret-holds", 8, "holds a token of", "T1528"),
    EdgeKind("namespace-owns", 8, "mounts into its own pods", "T1552.007"),
    EdgeKind("powerful", 8, "may already do everything as", "T1078"),
    EdgeKind("control-plane", 8, "holds the keys of", "T1552.001"),
)  # fmt: skip

KINDS: dict[str, EdgeKind] = {kind.name: kind for kind in _KINDS}
"""By name, in the order of the walk."""

for _kind in _KINDS:
    reference("mitre", _kind.technique)  # a mistyped id fails here
