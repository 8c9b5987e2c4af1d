"""Culprits: an object is named where it is shown to be one, and else it is said why none is."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_k8ssec.clusters.api import Response
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.clusters.request_rights import right_of_request
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.evidence.causes import Cause, FieldCheck, Fields, Flow, Known, Lacking, ObjectName, Right
from pytest_k8ssec.facts.culprits.find import Finders
from pytest_k8ssec.facts.culprits.kept_in import kept_in
from pytest_k8ssec.facts.culprits.template_fields import (
    AS_ROOT,
    HOST_PATHS,
    KEPT_CAPABILITIES,
    MAY_GAIN,
    fields_of_template,
    fields_of_token,
)
from pytest_k8ssec.stack import Workload

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_USER = "system:serviceaccount:batch:reporter"
_GET = Right(_USER, "get", "secrets", namespace="shop")


class _Api:
    """Answers with the objects that it is given, by path; an access review says what it is told to."""

    def __init__(self, objects: Mapping[str, Any], *, reason: str = "", refuses: str = "") -> None:
        self._objects, self._reason, self._refuses = objects, reason, refuses
        self.asked: list[str] = []

    def list(self, path: str) -> list[Any]:
        self.asked.append(path)
        if path == self._refuses:
            raise ClusterError(f"{path}: refused")
        return list(self._objects.get(path, ()))

    def get(self, path: str) -> Any:
        return {"groups": []} if path == "/apis" else self._objects[path]

    def path(self, _version: str, kind: str, namespace: str = "", name: str = "") -> str:
        return f"{kind}/{namespace}/{name}"

    def request(self, method: str, path: str, **_: Any) -> Response:
        self.asked.append(path)
        if method == "POST":
            return Response(201, {"status": {"allowed": bool(self._reason), "reason": self._reason}}, 1.0)
        found = self._objects.get(path)
        return Response(200 if found else 404, found or {}, 1.0)


def _bound(name: str, account: str, role: str, *, namespace: str = "", kind: str = "ClusterRole") -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace} if namespace else {"name": name}
    subject = {"kind": "ServiceAccount", "name": account, "namespace": "batch"}
    return {"metadata": meta, "roleRef": {"kind": kind, "name": role}, "subjects": [subject]}


def _role(name: str, verb: str, resource: str, *, named: tuple[str, ...] = (), **meta: Any) -> dict[str, Any]:
    rule = {"verbs": [verb], "apiGroups": [""], "resources": [resource], "resourceNames": list(named)}
    return {"metadata": {"name": name, **meta}, "rules": [rule]}


_OBJECTS = {
    f"{_RBAC}/clusterrolebindings": [_bound("readers", "reporter", "reader"), _bound("others", "somebody", "reader")],
    f"{_RBAC}/rolebindings": [
        _bound("elsewhere", "reporter", "reader", namespace="web"),
        _bound("here", "reporter", "local", namespace="shop", kind="Role"),
    ],
    f"{_RBAC}/clusterroles": [
        _role("reader", "get", "secrets", labels={"kubernetes.io/bootstrapping": "rbac-defaults"})
    ],
    f"{_RBAC}/roles": [_role("local", "get", "secrets", namespace="shop", named=("bank",))],
}


def _found(api: _Api, *causes: Cause) -> tuple[list[str], str]:
    finders = Finders(
        cast("Cluster", SimpleNamespace(api=api)), lambda what: "infra/__main__.py:12" if what.name == "readers" else ""
    )
    (blame,) = finders.blame([("case", "attack", causes)])
    return [str(each) for each in blame.culprits], blame.why_none


def _says(kind: str, name: str) -> str:
    return f'RBAC: allowed by {kind} "{name}" of ClusterRole "reader" to ServiceAccount "reporter/batch"'


def test_each_binding_that_gives_the_right_is_named_with_its_place_and_no_other() -> None:
    """A role that Kubernetes brings is no culprit, nor is a binding of another namespace, account or object."""
    api = _Api(_OBJECTS, reason=_says("ClusterRoleBinding", "readers"))
    assert (["ClusterRoleBinding readers (infra/__main__.py:12)"], "") == _found(api, _GET)


def test_a_right_on_one_object_is_given_by_who_names_it_too() -> None:
    """And a role of one's own is to blame beside its binding."""
    api = _Api(_OBJECTS, reason=_says("ClusterRoleBinding", "readers"))
    found, _ = _found(api, Right(_USER, "get", "secrets", namespace="shop", name="bank"))
    assert found == ["ClusterRoleBinding readers (infra/__main__.py:12)", "RoleBinding shop/here", "Role shop/local"]


@pytest.mark.parametrize(
    ("right", "reason", "words"),
    [
        (Right(_USER, "delete", "secrets"), "", "no binding of RBAC gives the right"),
        (_GET, "", "the API server says that it is not there"),
        (_GET, "allowed by a webhook", "not RBAC gives the right"),
        (_GET, _says("RoleBinding", "unknown/shop"), "RoleBinding unknown, which is not among the bindings"),
    ],
)
def test_what_the_api_server_does_not_confirm_is_not_named(right: Right, reason: str, words: str) -> None:
    """A wrong object would be worse than none."""
    found, why = _found(_Api(_OBJECTS, reason=reason), right)
    assert not found
    assert words in why


def test_an_api_that_does_not_answer_is_a_reason() -> None:
    """A breach stays one, whoever is to blame."""
    found, why = _found(_Api(_OBJECTS, refuses=f"{_RBAC}/roles"), _GET)
    assert ([], f"could not be asked for: {_RBAC}/roles: refused") == (found, why)


def test_a_breach_without_a_cause_asks_nothing() -> None:
    """The control says what could be to blame, and no finder guesses."""
    api = _Api(_OBJECTS)
    assert ([], "the control does not say what could have let this through") == _found(api)
    assert not api.asked


def _workload(**pod: Any) -> tuple[Workload, dict[str, Any]]:
    spec = {"containers": [{"name": "api", "securityContext": {}}], **pod}
    workload = Workload("Deployment", "shop", "api", {}, {}, {"spec": spec})
    return workload, {"Deployment/shop/api": {"spec": {"template": {"spec": spec}}}}


@pytest.mark.parametrize(
    ("pod", "check", "culprit"),
    [
        ({"securityContext": {"runAsUser": 0}}, AS_ROOT, "securityContext.runAsUser"),
        ({}, MAY_GAIN, "containers[api].securityContext.allowPrivilegeEscalation"),
        (
            {"volumes": [{"name": "a"}, {"name": "b", "hostPath": {"path": "/"}}]},
            HOST_PATHS,
            "volumes[b].hostPath.path",
        ),
        (
            {"containers": [{"name": "api", "securityContext": {"capabilities": {"drop": ["SYS_TIME"]}}}]},
            KEPT_CAPABILITIES,
            "containers[api].securityContext.capabilities.drop",
        ),
        (
            {
                "containers": [],
                "initContainers": [{"name": "api", "securityContext": {"allowPrivilegeEscalation": True}}],
            },
            MAY_GAIN,
            "initContainers[api].securityContext.allowPrivilegeEscalation",
        ),
    ],
)
def test_the_field_that_is_wrong_is_named(pod: dict[str, Any], check: FieldCheck, culprit: str) -> None:
    """With its path in the object that the API server has."""
    workload, objects = _workload(**pod)
    found, why = _found(_Api(objects), fields_of_template(workload, "api", check))
    assert ([f"Deployment shop/api, spec.template.spec.{culprit}"], "") == (found, why)


def test_a_field_that_is_right_is_not_named() -> None:
    """The first one that is set decides, as it does for the kubelet."""
    own = {"name": "api", "securityContext": {"runAsUser": 65532}}
    workload, objects = _workload(containers=[own], securityContext={"runAsUser": 0})
    found, why = _found(_Api(objects), fields_of_template(workload, "api", AS_ROOT))
    assert ([], "Deployment shop/api: no field of it explains this") == (found, why)


@pytest.mark.parametrize(
    ("pod", "account", "culprits"),
    [
        ({}, {"automountServiceAccountToken": True}, ["ServiceAccount shop/own, automountServiceAccountToken"]),
        ({}, {"kind": "ServiceAccount"}, ["ServiceAccount shop/own, automountServiceAccountToken"]),
        ({}, {"automountServiceAccountToken": False}, []),
        (
            {"automountServiceAccountToken": True},
            {"automountServiceAccountToken": True},
            ["Deployment shop/api, spec.template.spec.automountServiceAccountToken"],
        ),
        ({"automountServiceAccountToken": False}, {"automountServiceAccountToken": True}, []),
    ],
)
def test_who_gives_a_pod_its_token_is_named(pod: dict[str, Any], account: dict[str, Any], culprits: list[str]) -> None:
    """Its template; and the account only where that says nothing."""
    workload, objects = _workload(serviceAccountName="own", **pod)
    found, _ = _found(_Api({**objects, "ServiceAccount/shop/own": account}), *fields_of_token(workload, "api", "own"))
    assert culprits == found


def test_one_and_true_are_not_the_same() -> None:
    """Nor are 0 and false."""
    assert not FieldCheck((("x",),), bad=(True,)).blames(1)
    assert not FieldCheck((("x",),), bad=(0,)).blames(value=False)


def test_a_namespace_is_named_only_where_it_lacks_all_of_it() -> None:
    """Either of them is enough."""
    cause = Lacking("shop", ("limitranges", "resourcequotas"), "limits")
    assert (["Namespace shop"], "") == _found(_Api({}), cause)
    quota = {"/api/v1/namespaces/shop/resourcequotas": [{"metadata": {"name": "team"}}]}
    assert ([], "namespace shop has resourcequotas: team") == _found(_Api(quota), cause)


def test_an_object_that_is_gone_is_not_named() -> None:
    """What an attack found must be there still."""
    cause = Known("Secret", "v1", "shop", "bank", "data.key", "holds the value")
    assert (["Secret shop/bank, data.key"], "") == _found(_Api({"Secret/shop/bank": {"kind": "Secret"}}), cause)
    assert ([], "Secret shop/bank: HTTP 404") == _found(_Api({}), cause)


_POLICIES = "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies"
_FLOW = Flow("Egress", "shop", (("app", "api"),), "10.0.0.1", "192.0.2.1", 443)


def _policy(name: str, *egress: dict[str, Any], selector: dict[str, Any] | None = None) -> dict[str, Any]:
    spec = {"podSelector": selector or {}, "policyTypes": ["Egress"], "egress": list(egress)}
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def test_the_policy_that_lets_out_is_named_and_no_other() -> None:
    """Policies add up: each that lets it through by itself."""
    held = [
        _policy("deny"),
        _policy("dns", {"ports": [{"port": 53, "protocol": "UDP"}]}),
        _policy("open", {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}),
        _policy("of-others", {}, selector={"matchLabels": {"app": "web"}}),
    ]
    assert (["NetworkPolicy shop/open"], "") == _found(_Api({_POLICIES: held}), _FLOW)
    found, why = _found(_Api({_POLICIES: held[:2]}), _FLOW)
    assert not found
    assert "the network does not do what they say" in why


def test_where_no_policy_selects_the_pods_their_namespace_is_named() -> None:
    """A policy for other pods, or for what comes in, is none for them."""
    others = _policy("of-others", selector={"matchLabels": {"app": "web"}})
    assert (["Namespace shop"], "") == _found(_Api({_POLICIES: [others]}), _FLOW)


@pytest.mark.parametrize(
    ("method", "path", "params", "right"),
    [
        ("GET", "/api/v1/namespaces/shop/secrets", {"limit": "1"}, Right("u", "list", "secrets", "", "shop")),
        ("GET", "/api/v1/secrets", {"watch": "true"}, Right("u", "watch", "secrets")),
        ("GET", "/api/v1/secrets", {"fieldSelector": "metadata.name=a"}, Right("u", "list", "secrets", name="a")),
        (
            "DELETE",
            "/apis/apps/v1/namespaces/a/deployments",
            {},
            Right("u", "deletecollection", "deployments", "apps", "a"),
        ),
        ("POST", "/api/v1/namespaces/a/pods/b/exec", {}, Right("u", "create", "pods/exec", "", "a", "b")),
        ("PATCH", "/api/v1/namespaces/a", {}, Right("u", "patch", "namespaces", "", "a", "a")),
        ("GET", "/api/v1/nodes/n/proxy/healthz", {}, Right("u", "get", "nodes/proxy", name="n")),
        ("GET", "/healthz", {}, None),
    ],
)
def test_a_request_takes_a_right(method: str, path: str, params: dict[str, str], right: Right | None) -> None:
    """As the API server reads it."""
    assert right_of_request("u", method, path, params) == right


def test_who_acts_as_another_uses_the_right_to_impersonate() -> None:
    """Whatever the request itself is."""
    found = right_of_request("u", "POST", "/api/v1/pods", None, {"Impersonate-User": "x"})
    assert found == Right("u", "impersonate", "users", name="x")


def test_an_object_is_shown_with_its_field() -> None:
    """And compared without."""
    name = ObjectName("Deployment", "api", "shop", "spec.hostPID")
    assert ("Deployment shop/api, spec.hostPID", "Deployment shop/api") == (str(name), str(name.whole))


def test_fields_of_an_object_of_the_cluster() -> None:
    """Such as a namespace's label."""
    check = FieldCheck((("metadata", "labels", "a.b/enforce"),), bad=("privileged",), unset=True)
    cause = Fields("Namespace", "v1", "", "shop", (check,))
    found, _ = _found(_Api({"Namespace//shop": {"metadata": {"labels": {"a.b/enforce": "privileged"}}}}), cause)
    assert found == ["Namespace shop, metadata.labels.a.b/enforce"]


def test_what_goes_wrong_in_a_finder_is_a_reason() -> None:
    """A breach is told all the same."""
    found, why = _found(
        _Api({f"{_RBAC}/rolebindings": [{"metadata": {}, "subjects": [{"kind": "User", "name": _USER}]}]}), _GET
    )
    assert not found
    assert why.startswith("could not be found out: KeyError")


_KEEPING = {
    "spec": {
        "containers": [
            {
                "name": "api",
                "env": [
                    {"name": "PLAIN", "value": "x"},
                    {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "bank", "key": "key"}}},
                ],
                "volumeMounts": [{"name": "all", "mountPath": "/run"}, {"name": "one", "mountPath": "/run/one"}],
            }
        ],
        "volumes": [
            {"name": "all", "projected": {"sources": [{"configMap": {"name": "settings"}}, {"secret": {"name": "s"}}]}},
            {"name": "one", "secret": {"secretName": "token"}},
        ],
    }
}


@pytest.mark.parametrize(
    ("place", "objects"),
    [
        ("variable KEY in base64", ["Secret shop/bank"]),
        ("variable PLAIN", []),
        ("/run/one/key in base64 in base64", ["Secret shop/token"]),
        ("/run/other", ["ConfigMap shop/settings", "Secret shop/s"]),
        ("/etc/passwd", []),
        ("argument command 1", []),
    ],
)
def test_what_keeps_a_credential_is_told_by_its_place(place: str, objects: list[str]) -> None:
    """The nearest mount, or the variable of that name."""
    assert [str(each) for each in kept_in("shop", _KEEPING, place)] == objects
