"""Ways of privilege escalation, each a request that changes nothing: a dry run, or a name that does not exist.

Sources: https://kubernetes.io/docs/concepts/security/rbac-good-practices/#privilege-escalation-risks
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_k8ssec.clusters.headers import MERGE_PATCH
from pytest_k8ssec.probes import podsecurity
from pytest_k8ssec.probes.identities import NOBODY
from pytest_k8ssec.probes.rbac import RBAC, binding, rule
from pytest_k8ssec.stack import ServiceAccount, Stack

_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
_HOOKS = "admissionregistration.k8s.io"
_CSRS = "certificates.k8s.io"
_EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
_WEBSOCKET = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "azhzc2VjLWs4c3NlYy1rOA==", "Sec-WebSocket-Protocol": "v5.channel.k8s.io",
}  # fmt: skip
_COMMAND = {"command": "true", "stdout": "true"}


@dataclass(frozen=True, slots=True)
class WayUp:
    """One way up."""

    words: str
    rules: tuple[dict[str, Any], ...]
    """The RBAC rules that suffice for it; the last one is the right that matters."""
    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=lambda: {"dryRun": "All"})

    @property
    def right(self) -> tuple[str, str, str]:
        """Verb, resource and group of the right that matters."""
        last = self.rules[-1]
        return last["verbs"][0], last["resources"][0], last["apiGroups"][0]


def places(stack: Stack) -> tuple[str, ...]:
    """Namespaces that rights are tried in: the stack's, and two that every cluster has."""
    return tuple(dict.fromkeys((*stack.namespaces, "default", "kube-system")))


def to_cluster_admin(account: ServiceAccount) -> WayUp:
    """The shortest way of all: an account that binds itself to cluster-admin."""
    return WayUp(
        "bind itself to cluster-admin",
        (rule("create", "clusterrolebindings", group=RBAC), rule("bind", "clusterroles", group=RBAC)),
        "POST", f"/apis/{RBAC}/v1/clusterrolebindings", binding(NOBODY, account, "cluster-admin"),
    )  # fmt: skip


def in_namespace(account: ServiceAccount, namespace: str, image: str) -> tuple[WayUp, ...]:
    """What an account could do with rights in one namespace.

    Args:
        image: of the pods that are offered; nothing runs it.
    """
    core, rbac = f"/api/v1/namespaces/{namespace}", f"/apis/{RBAC}/v1/namespaces/{namespace}"
    return (
        WayUp(
            "bind itself to cluster-admin",
            (rule("create", "rolebindings", group=RBAC), rule("bind", "clusterroles", group=RBAC)),
            "POST", f"{rbac}/rolebindings", binding(NOBODY, account, "cluster-admin", namespace=namespace),
        ),
        WayUp(
            "write a Role with rights that it does not have",
            (rule("create", "roles", group=RBAC), rule("escalate", "roles", group=RBAC)),
            "POST", f"{rbac}/roles", _object("Role", f"{RBAC}/v1", rules=_EVERYTHING),
        ),
        *_workloads(namespace, image),
        WayUp(
            "run a command in a container",
            (rule("create", "pods/exec"),),
            "POST", f"{core}/pods/{NOBODY}/exec", params=_COMMAND,
        ),
        WayUp(
            "run a command in a container, over a WebSocket",
            (rule("create", "pods/exec"), rule("get", "pods/exec")),
            "GET", f"{core}/pods/{NOBODY}/exec", headers=_WEBSOCKET, params=_COMMAND,
        ),
        *(
            WayUp(
                words, (rule(verb, "pods/ephemeralcontainers"),),
                method, f"{core}/pods/{NOBODY}/ephemeralcontainers", body, headers,
            )
            for words, verb, method, body, headers in (
                ("add a container to a running pod", "patch", "PATCH", {}, MERGE_PATCH),
                ("add a container to a running pod, by an update", "update", "PUT",
                 _object("Pod", "v1", spec=podsecurity.offered_pod(image)["spec"]), {}),
            )
        ),
        WayUp(
            "get the token of another account",
            (rule("create", "serviceaccounts/token"),),
            "POST", f"{core}/serviceaccounts/{NOBODY}/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
        ),
        WayUp(
            "impersonate another account",
            (rule("impersonate", "serviceaccounts"),),
            "POST", _REVIEWS, _REVIEW, {"Impersonate-User": f"system:serviceaccount:{namespace}:{NOBODY}"},
        ),
    )  # fmt: skip


def _workloads(namespace: str, image: str) -> Iterator[WayUp]:
    """Ways to a pod of one's own making, which has any account and any volume of its namespace."""
    pod, labels = podsecurity.offered_pod(image), {"k8ssec": "offer"}
    template = {"metadata": {"labels": labels}, "spec": {**pod["spec"], "restartPolicy": "Always"}}
    once = {"template": {"spec": {**pod["spec"], "restartPolicy": "Never"}}}
    selecting = {"selector": {"matchLabels": labels}, "template": template}
    for kind, version, spec in (
        ("Pod", "v1", pod["spec"]),
        ("Deployment", "apps/v1", selecting),
        ("DaemonSet", "apps/v1", selecting),
        ("StatefulSet", "apps/v1", {**selecting, "serviceName": NOBODY}),
        ("ReplicaSet", "apps/v1", selecting),
        ("ReplicationController", "v1", {"selector": labels, "template": template}),
        ("Job", "batch/v1", once),
        ("CronJob", "batch/v1", {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": once}}),
    ):
        group, _, _ = version.rpartition("/")
        plural = f"{kind.lower()}s"
        path = f"/{f'apis/{version}' if group else f'api/{version}'}/namespaces/{namespace}/{plural}"
        for verb, method, where, body, headers in (
            ("create", "POST", path, _object(kind, version, spec=spec), {}),
            ("update", "PUT", f"{path}/{NOBODY}", _object(kind, version, spec=spec), {}),
            ("patch", "PATCH", f"{path}/{NOBODY}", {}, MERGE_PATCH),
        ):
            yield WayUp(f"{verb} a {kind}", (rule(verb, plural, group=group),), method, where, body, headers)


def in_cluster() -> tuple[WayUp, ...]:
    """What an account could do with rights in the whole cluster."""
    volume = {"capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/"}}
    return (
        WayUp(
            "write a ClusterRole with rights that it does not have",
            (rule("create", "clusterroles", group=RBAC), rule("escalate", "clusterroles", group=RBAC)),
            "POST", f"/apis/{RBAC}/v1/clusterroles", _object("ClusterRole", f"{RBAC}/v1", rules=_EVERYTHING),
        ),
        WayUp(
            "impersonate a user",
            (rule("impersonate", "users"),),
            "POST", _REVIEWS, _REVIEW, {"Impersonate-User": NOBODY},
        ),
        WayUp(
            "approve a certificate",
            (rule("update", "certificatesigningrequests/approval", group=_CSRS),),
            "PUT", f"/apis/{_CSRS}/v1/certificatesigningrequests/{NOBODY}/approval",
            _object("CertificateSigningRequest", f"{_CSRS}/v1", spec={"request": "", "signerName": "k8ssec.dev/none"}),
        ),
        WayUp(
            "approve a certificate, by a patch",
            (rule("patch", "certificatesigningrequests/approval", group=_CSRS),),
            "PATCH", f"/apis/{_CSRS}/v1/certificatesigningrequests/{NOBODY}/approval", {}, MERGE_PATCH,
        ),
        *(
            WayUp(
                f"see and {what} every write, by a webhook{how}",
                (rule(verb, f"{kind.lower()}s", group=_HOOKS),),
                method, f"/apis/{_HOOKS}/v1/{kind.lower()}s{where}", body, headers,
            )
            for kind, what in (
                ("MutatingWebhookConfiguration", "change"),
                ("ValidatingWebhookConfiguration", "refuse"),
            )
            for verb, how, method, where, body, headers in (
                ("create", "", "POST", "", _object(kind, f"{_HOOKS}/v1", webhooks=[]), {}),
                ("update", " that is there", "PUT", f"/{NOBODY}", _object(kind, f"{_HOOKS}/v1", webhooks=[]), {}),
                ("patch", " that is there, by a patch", "PATCH", f"/{NOBODY}", {}, MERGE_PATCH),
            )
        ),
        WayUp(
            "make a volume of a node's file system",
            (rule("create", "persistentvolumes"),),
            "POST", "/api/v1/persistentvolumes", _object("PersistentVolume", "v1", spec=volume),
        ),
    )  # fmt: skip


def _object(kind: str, version: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": NOBODY}, **more}
