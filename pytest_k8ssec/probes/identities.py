"""Identities to attack with: a service account's own token, used instead of our credentials."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_k8ssec.agent.tasks import Http
from pytest_k8ssec.clusters.api import Body, KubeApi, Response
from pytest_k8ssec.clusters.api_servers import HasApi
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.rbac_objects import RBAC, account_subject, binding
from pytest_k8ssec.clusters.request_rights import right_of_request
from pytest_k8ssec.errors import ClusterError, ProbeError, as_probe_error
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.evidence.causes import Right
from pytest_k8ssec.facts.credentials import OPAQUE, Credential
from pytest_k8ssec.pods import manifests
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.secrecy.redact import register

TOKEN_SECONDS = 600
"""The shortest life that the API server grants."""

NOBODY = "k8ssec-no-such"
"""Name of an object that does not exist: whoever may access it gets 404, whoever may not gets 403."""

_AUTHORIZATION = "authorization.k8s.io"
_RULES = f"/apis/{_AUTHORIZATION}/v1/selfsubjectrulesreviews"
ACCESS_REVIEWS = f"/apis/{_AUTHORIZATION}/v1/selfsubjectaccessreviews"
"""Where whoever is known asks for one right of his own."""
_NOBODY_KNOWN = "system:anonymous"
"""Who shows nothing that counts, where the API server lets anybody ask who he is."""
_REVIEW = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whom the API server knows, a service account mostly, and a token of his; the token is never shown."""

    api: KubeApi
    user: str
    token: str
    """"" where a certificate says who it is, and ``api`` shows that."""

    def __repr__(self) -> str:
        return f"Identity({self.user})"

    @property
    def bearer(self) -> dict[str, str]:
        """The header by which a task shows the token: to be sent, and never to be shown."""
        return {"Authorization": f"Bearer {self.token}"}

    def attempt(self, method: str, path: str, *, body: Any = None, what: str = "", **options: Any) -> Evidence:
        """Send one request with the token.

        Args:
            what: words for the report, instead of the bare path.

        Raises:
            ProbeError: no HTTP answer came.
        """
        with as_probe_error():
            answer = self.api.request(method, path, body=body, token=self.token or None, **options)
        right = right_of_request(self.user, method, path, options.get("params"), options.get("headers"))
        return replace(api_evidence(self.user, what or f"{method} {path}", answer), cause=right)

    def who_am_i(self, headers: Mapping[str, str] | None = None) -> Evidence:
        """Ask the API server whom the token stands for (SelfSubjectReview): 201, and the user's name as the detail.

        Args:
            headers: what is said besides.

        Raises:
            ProbeError: no HTTP answer came.
        """
        answer = self._ask(_REVIEW, _review(), headers)
        user = answer.body.get("status", {}).get("userInfo", {}).get("username", "") if answer.ok else answer.message
        return Evidence(
            Source("client", "this process", identity=self.user), f"POST {_REVIEW}", Outcome.HTTP, str(user),
            status=answer.status, latency_ms=round(answer.latency_ms, 1),
        )  # fmt: skip

    def rules(self, namespace: str) -> RbacRules:
        """What RBAC grants the identity in a namespace, according to the API server itself (SelfSubjectRulesReview).

        Raises:
            ProbeError: no HTTP answer came.
        """
        body = {
            "apiVersion": f"{_AUTHORIZATION}/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        }
        answer = self._ask(_RULES, body)
        status = answer.body.get("status", {}) if answer.ok else {}
        return RbacRules(
            api_evidence(self.user, f"POST {_RULES} for namespace {namespace}", answer),
            tuple(status.get("resourceRules") or ()),
            complete=answer.ok and not status.get("incomplete"),
        )

    def may(self, verb: str, resource: str, *, group: str = "", namespace: str = "", name: str = "") -> Evidence:
        """Ask the API server for one right (SelfSubjectAccessReview): ``Outcome.DONE`` if so, ``ABSENT`` if not.

        Raises:
            ProbeError: no HTTP answer came, or one that says nothing.
        """
        said = _review_of(self.user, attributes(verb, resource, group=group, namespace=namespace, name=name), self._ask)
        return replace(said, cause=Right(self.user, verb, resource, group, namespace, name))

    def _ask(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Response:
        with as_probe_error():
            return self.api.request("POST", path, body=body, token=self.token or None, headers=headers)

    def is_itself(self, evidence: Evidence) -> bool:
        """Whether :meth:`who_am_i` named this identity."""
        return evidence.status == 201 and evidence.detail == self.user


def own_rights_review(right: Mapping[str, str]) -> dict[str, Any]:
    """The question for one right of one's own (SelfSubjectAccessReview), of :func:`attributes`."""
    return {
        "apiVersion": f"{_AUTHORIZATION}/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": dict(right)},
    }


def self_review(host: str, port: int, token: str, identity: str) -> Http:
    """The task that asks an API server, from wherever it is sent, whom a token stands for; 201 if it is accepted."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return Http(host, port, _REVIEW, method="POST", body=json.dumps(_review()), headers=headers, identity=identity)


@dataclass(frozen=True, slots=True)
class RbacRules:
    """RBAC rules of an identity in one namespace."""

    evidence: Evidence
    """Status 201 where they could be read."""
    rules: tuple[dict[str, Any], ...]
    complete: bool = True
    """Whether these are all: an authorizer such as a webhook may grant more without being able to list it."""

    def grants(self, verb: str, resource: str, *, group: str = "") -> bool:
        """Whether a right is granted on objects of every name."""
        return any(not rule.get("resourceNames") for rule in self._covering(verb, resource, group))

    def names(self, verb: str, resource: str, *, group: str = "") -> list[str]:
        """Names of objects that a right is granted on by name: asking for a made-up name can't find these out."""
        return sorted(
            {name for rule in self._covering(verb, resource, group) for name in rule.get("resourceNames", ())}
        )

    def _covering(self, verb: str, resource: str, group: str) -> list[dict[str, Any]]:
        return [
            rule
            for rule in self.rules
            if _covers(rule["verbs"], verb)
            and _covers(rule.get("apiGroups", ()), group)
            and _covers(rule.get("resources", ()), resource, f"*/{resource.partition('/')[2]}")
        ]


def api_evidence(user: str, request: str, answer: Response) -> Evidence:
    """Evidence of a request that this process sent to the API server."""
    return Evidence(
        Source("client", "this process", identity=user), request, Outcome.HTTP, answer.message[:300],
        status=answer.status, latency_ms=round(answer.latency_ms, 1),
    )  # fmt: skip


def account_user(namespace: str, name: str) -> str:
    """The user that a service account is to the API server."""
    return f"system:serviceaccount:{namespace}:{name}"


def holder(api: KubeApi, token: str, user: str) -> Identity:
    """The identity of whoever holds a token that was found somewhere."""
    return Identity(api, user, register(token))


def certificate_holder(api: KubeApi, pem: str, user: str) -> Identity:
    """The identity of whoever holds a client certificate and its key that were found somewhere.

    Raises:
        ProbeError: nobody can show these two to an API server.
    """
    with as_probe_error():
        return Identity(api.as_holder_of(register(pem)), user, "")


def show_credential(api: KubeApi, found: Credential) -> tuple[Identity, Evidence, bool | None]:
    """Show a credential that was found somewhere to the API server.

    Returns:
        whom it stands for then, the answer, and whether the API server took it; None where that can't be told.

    Raises:
        ProbeError: no HTTP answer came, or nobody can show it to an API server.
    """
    if found.form == OPAQUE:
        register(found.token)  # nothing of its form tells the redactor that it is one
    # What is not taken may be an innocent word of that form: were it registered, it would be cut out of every text.
    identity = certificate_holder(api, found.pem, found.user) if found.pem else Identity(api, found.user, found.token)
    answer = identity.who_am_i(found.headers)
    # 401: nobody of this API server's, or no longer; anything but these two says nothing. Nor does it, where what was made
    # with the API server's own key is not taken: then it was not made well.
    refused = None if found.anybody else False
    taken = {201: answer.detail != _NOBODY_KNOWN, 401: refused}.get(answer.status or 0)
    if not taken:
        return identity, answer, taken
    register(found.token or found.pem)
    return replace(identity, user=answer.detail), answer, taken


def service_account(
    cluster: HasApi, namespace: str, name: str, *, bound_to: Body | None = None, seconds: int = TOKEN_SECONDS
) -> Identity:
    """A service account's identity, by the TokenRequest API.

    Each time another one: authenticators and authorizers cache by the token, a kubelet what it allowed for minutes and what it
    refused for half a minute, so that one that was asked with before a change would tell of then.

    Args:
        bound_to: an object, a pod of that account for instance, with which the token ends.
        seconds: how long it is to be good for.

    Raises:
        ProbeError: no token was issued.
    """
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    spec: Body = {"expirationSeconds": seconds}
    if bound_to is not None:
        meta = bound_to["metadata"]
        reference = {"apiVersion": bound_to["apiVersion"], "kind": bound_to["kind"]}
        spec["boundObjectRef"] = {**reference, "name": meta["name"], "uid": meta["uid"]}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    try:
        token = str(cluster.api.call("POST", path, body=body)["status"]["token"])
    except ClusterError as error:
        raise ProbeError(f"service account {namespace}/{name}: no token: {error.message}") from error
    return holder(cluster.api, token, account_user(namespace, name))


def nobody(pool: Pool) -> Identity:
    """A service account of ours that nobody gave any right: what it may do, every pod of the cluster may do.

    Each time another one: kubelets remember for minutes what an account may do.

    Raises:
        ProbeError: it could not be made.
    """
    name, namespace = f"k8ssec-{secrets.token_hex(3)}", pool.namespace("nobody")
    manifest = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
    with as_probe_error(creating=f"service account {namespace}/{name}"):
        pool.cluster.api.create(manifest)
    return service_account(pool.cluster, namespace, name)


def ourselves(cluster: HasApi) -> str:
    """The user that the API server takes this process for.

    Raises:
        ProbeError: it does not say.
    """
    with as_probe_error():
        return str(cluster.api.call("POST", _REVIEW, body=_review())["status"]["userInfo"]["username"])


def auditor(pool: Pool) -> Identity:
    """An identity of ours that may read nodes, pods and the kubelets, and nothing secret: for positive controls.

    Raises:
        ProbeError: it could not be made.
    """
    name = f"k8ssec-{pool.run_id}-auditor"
    namespace = pool.namespace("auditor")
    pool.remember("auditor", lambda: _grant(pool, namespace, name))
    return service_account(pool.cluster, namespace, name)


def _grant(pool: Pool, namespace: str, name: str) -> str:
    labels = {manifests.OBJECT_LABEL: pool.run_id}
    rules: Sequence[dict[str, Any]] = (
        {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["nodes/proxy", "nodes/pods"], "verbs": ["get"]},
    )
    for path, body in (
        (f"/api/v1/namespaces/{namespace}/serviceaccounts", {"kind": "ServiceAccount", "apiVersion": "v1"}),
        (f"/apis/{RBAC}/v1/clusterroles", {"rules": list(rules)}),
        (f"/apis/{RBAC}/v1/clusterrolebindings", binding(name, account_subject(namespace, name), name)),
    ):
        pool.owns(f"{path}/{name}")
        answer = pool.cluster.api.request("POST", path, body={**body, "metadata": {"name": name, "labels": labels}})
        if not answer.ok and answer.status != 409:
            raise ProbeError(f"POST {path}: HTTP {answer.status}: {answer.message}")
    return name


def administrator(cluster: Cluster, method: str, path: str, **options: Any) -> Evidence:
    """The answer to our own credentials: any status but 403 shows that the request itself is correct.

    Raises:
        ProbeError: no HTTP answer came.
    """
    with as_probe_error():
        answer = cluster.api.request(method, path, **options)
    return api_evidence("our administrator", f"{method} {path}", answer)


@dataclass(frozen=True, slots=True)
class Administrator:
    """Our own credentials, as somebody who can be asked what they may."""

    api: KubeApi

    def may(self, verb: str, resource: str, *, group: str = "", namespace: str = "", name: str = "") -> Evidence:
        """Like ``Identity.may``."""
        right = attributes(verb, resource, group=group, namespace=namespace, name=name)
        return _review_of("our administrator", right, self._ask)

    def _ask(self, path: str, body: Any) -> Response:
        with as_probe_error():
            return self.api.request("POST", path, body=body)


def _review_of(user: str, right: dict[str, str], ask: Callable[[str, Any], Response]) -> Evidence:
    answer = ask(ACCESS_REVIEWS, own_rights_review(right))
    if not answer.ok:
        raise ProbeError(f"{user}: POST {ACCESS_REVIEWS}: HTTP {answer.status}: {answer.message}")
    allowed = answer.body.get("status", {}).get("allowed") is True
    below = f"/{right['subresource']}" if right["subresource"] else ""
    words = f"{right['verb']} {right['resource']}{below} {right['namespace']}/{right['name']}"
    said = api_evidence(user, f"POST {ACCESS_REVIEWS}: {words}", answer)
    return replace(said, outcome=Outcome.DONE if allowed else Outcome.ABSENT)


def attributes(verb: str, resource: str, *, group: str = "", namespace: str = "", name: str = "") -> dict[str, str]:
    """``resourceAttributes`` of an access review; ``resource`` with its subresource, as RBAC writes it."""
    resource, _, subresource = resource.partition("/")
    return {"verb": verb, "group": group, "resource": resource, "subresource": subresource,
            "namespace": namespace, "name": name}  # fmt: skip


def _covers(granted: Sequence[str], *wanted: str) -> bool:
    return any(each in granted for each in ("*", *wanted))


def _review() -> dict[str, Any]:
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
