"""Ways of privilege escalation, each a request that changes nothing: a dry run, or a name that does not exist.

Sources: https://kubernetes.io/docs/concepts/security/rbac-good-practices/#privilege-escalation-risks;
what the API server says to who may not: apimachinery's errors.NewForbidden, and its RBAC registry's escalation check
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pytest_k8ssec.clusters.headers import MERGE_PATCH
from pytest_k8ssec.clusters.rbac_objects import RBAC, account_subject, binding, rule
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.pods.resources import Resources
from pytest_k8ssec.probes import podsecurity
from pytest_k8ssec.probes.identities import NOBODY, RbacRules
from pytest_k8ssec.stack import ServiceAccount, Stack

_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
_HOOKS = "admissionregistration.k8s.io"
_CSRS = "certificates.k8s.io"
_EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
WEBSOCKET = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "azhzc2VjLWs4c3NlYy1rOA==", "Sec-WebSocket-Protocol": "v5.channel.k8s.io",
}  # fmt: skip
"""Headers of a GET that begins a WebSocket."""
_COMMAND = {"command": "true", "stdout": "true"}
_LACKING = re.compile(
    r'(\S+ ("[^"]*" )?is )?forbidden: (User "[^"]*" cannot \S+ (resource|path) |user "[^"]*" \(groups=)'
)
"""The authorizer's words, and those of RBAC's own check, which end ``is attempting to grant RBAC permissions not currently
held``: with a long name that is cut off. They begin the message; a webhook or a policy may quote them further on."""


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
    asked: tuple[dict[str, Any], ...] = ()
    """Rules of the rights that are asked for, after the request; without a path there is none, and they are all."""
    name: str = ""
    """The one object that it is about, "" where any will do."""
    leads: str = ""
    """What the table of further rights says that it leads to."""

    @property
    def right(self) -> tuple[str, str, str]:
        """Verb, resource and group of the right that matters."""
        last = self.rules[-1]
        return last["verbs"][0], last["resources"][0], last["apiGroups"][0]


OF_EVERY_CLUSTER = ("default", "kube-system")
"""Namespaces that rights are tried in, whatever the stack."""


def tried_namespaces(stack: Stack) -> tuple[str, ...]:
    """Namespaces that rights are tried in: the stack's, and two that every cluster has."""
    return tuple(dict.fromkeys((*stack.namespaces, *OF_EVERY_CLUSTER)))


def to_cluster_admin(account: ServiceAccount) -> WayUp:
    """The shortest way of all: an account that binds itself to cluster-admin."""
    return WayUp(
        "bind itself to cluster-admin",
        (rule("create", "clusterrolebindings", group=RBAC), rule("bind", "clusterroles", group=RBAC)),
        "POST", f"/apis/{RBAC}/v1/clusterrolebindings", binding(NOBODY, account_subject(account.namespace, account.name), "cluster-admin"),
    )  # fmt: skip


def in_namespace(
    account: ServiceAccount, namespace: str, image: str, room: Resources = podsecurity.OFFERED
) -> tuple[WayUp, ...]:
    """What an account could do with rights in one namespace.

    Args:
        image: of the pods that are offered; nothing runs it.
        room: their requests and limits, as the namespace lets them in.
    """
    itself = account_subject(account.namespace, account.name)
    core, rbac = f"/api/v1/namespaces/{namespace}", f"/apis/{RBAC}/v1/namespaces/{namespace}"
    return (
        WayUp(
            "bind itself to cluster-admin",
            (rule("create", "rolebindings", group=RBAC), rule("bind", "clusterroles", group=RBAC)),
            "POST", f"{rbac}/rolebindings", binding(NOBODY, itself, "cluster-admin", namespace=namespace),
        ),
        WayUp(
            "write a Role with rights that it does not have",
            (rule("create", "roles", group=RBAC), rule("escalate", "roles", group=RBAC)),
            "POST", f"{rbac}/roles", _object("Role", f"{RBAC}/v1", rules=_EVERYTHING),
        ),
        *_workloads(namespace, image, room),
        WayUp(
            "run a command in a container",
            (rule("create", "pods/exec"),),
            "POST", f"{core}/pods/{NOBODY}/exec", params=_COMMAND,
        ),
        WayUp(
            "run a command in a container, over a WebSocket",
            (rule("create", "pods/exec"), rule("get", "pods/exec")),
            "GET", f"{core}/pods/{NOBODY}/exec", headers=WEBSOCKET, params=_COMMAND,
        ),
        *(
            WayUp(
                words, (rule(verb, "pods/ephemeralcontainers"),),
                method, f"{core}/pods/{NOBODY}/ephemeralcontainers", body, headers,
            )
            for words, verb, method, body, headers in (
                ("add a container to a running pod", "patch", "PATCH", {}, MERGE_PATCH),
                ("add a container to a running pod, by an update", "update", "PUT",
                 _object("Pod", "v1", spec=podsecurity.offered_pod(image, room=room)["spec"]), {}),
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


def _workloads(namespace: str, image: str, room: Resources) -> Iterator[WayUp]:
    """Ways to a pod of one's own making, which has any account and any volume of its namespace."""
    pod, labels = podsecurity.offered_pod(image, room=room), {"k8ssec": "offer"}
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


class Asker(Protocol):
    """Who can ask the API server what it may do itself: an identity, or a look at one that counts its requests."""

    def may(self, verb: str, resource: str, *, group: str = "", namespace: str = "", name: str = "") -> Evidence:
        """``Outcome.DONE`` if it may; see ``Identity.may``."""


def by_change(who: Asker, step: WayUp, namespace: str, rules: RbacRules) -> Evidence | None:
    """Where it may make no new binding or role: the right to change one that is there to the same end, None if it has none.

    That is asked for: to try it, an object of somebody else's would have to be named.

    Args:
        who: whose rights these are.
        step: the way up that was refused; only one that binds or escalates has another that leads by a change.
        namespace: where, "" for the cluster.
        rules: its rules there, which name the single objects that it may change.

    Raises:
        ProbeError: no HTTP answer came, or one that says nothing.
    """
    verb, resource, group = step.right
    if verb not in ("bind", "escalate"):
        return None
    name = "cluster-admin" if verb == "bind" else ""
    if who.may(verb, resource, group=group, namespace=namespace, name=name).outcome is not Outcome.DONE:
        return None
    made, of = step.rules[0]["resources"][0], step.rules[0]["apiGroups"][0]
    for change in ("update", "patch"):
        for one in ("", *rules.names(change, made, group=of)):
            known = who.may(change, made, group=of, namespace=namespace, name=one)
            if known.outcome is Outcome.DONE:
                return known
    return None


def lacks_the_right(answer: Evidence) -> bool:
    """Whether an answer is a 403 that says that who asked has not the right, or would give away more than they have.

    Any other 403 is admission's: behind it the right is there, and another object may be let in.
    """
    return answer.status == 403 and _LACKING.match(answer.detail) is not None


def has_the_right(answer: Evidence) -> bool | None:
    """Whether an answer of the API server shows that who asked has the right; None where it shows neither.

    A 404 comes after the authorizer: its name does not exist. Of 403 only the authorizer's own words are a refusal, see
    :func:`lacks_the_right`; that an administrator's same request passed does not change that, as admission may know users.
    """
    if answer.status in (200, 201, 404):
        return True
    return False if lacks_the_right(answer) else None


def _object(kind: str, version: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": NOBODY}, **more}
