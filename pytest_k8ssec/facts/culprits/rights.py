"""The bindings and roles that give a right, and the API server's own word that it is RBAC that gives it.

Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from pytest_k8ssec.clusters.api import Body, Items, KubeApi
from pytest_k8ssec.clusters.rbac_objects import RBAC, REVIEWS, access_review
from pytest_k8ssec.evidence import JSON
from pytest_k8ssec.evidence.causes import Culprit, ObjectName, Right

_ACCOUNT = "system:serviceaccount:"
_ANONYMOUS = "system:anonymous"
_DEFAULTS = "kubernetes.io/bootstrapping"
"""The label of roles that Kubernetes brings: that one is bound is the fault of the binding."""
_SAYS = re.compile(r'allowed by (RoleBinding|ClusterRoleBinding) "([^"]+)" of')
"""https://github.com/kubernetes/kubernetes, plugin/pkg/auth/authorizer/rbac: ``ruleAccumulator``, ``clusterRoleBindingDescriber``"""


class RightsFinder:
    """Answers for many rights; RBAC's objects are listed once.

    Raises:
        ClusterError: they can't be listed.
    """

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        lists = ("clusterrolebindings", "rolebindings", "clusterroles", "roles")
        of_cluster, of_spaces, cluster_roles, roles = (api.list(f"/apis/{RBAC}/v1/{plural}") for plural in lists)
        self._bindings: Items = [*of_cluster, *of_spaces]
        self._roles = {(_space(each), each["metadata"]["name"]): each for each in (*cluster_roles, *roles)}
        self._confirmed: dict[tuple[str, frozenset[str]], str] = {}

    def find(self, right: Right) -> tuple[list[Culprit], str]:
        """The culprits; where there is none, why."""
        groups = _groups(right.user)
        giving = [each for each in self._bindings if self._gives(each, right, groups)]
        if not giving:
            return [], f"no binding of RBAC gives the right to {right}"
        key = right.user, frozenset(map(_word, giving))
        if key not in self._confirmed:
            self._confirmed[key] = self._doubt(right, groups, giving)
        if why := self._confirmed[key]:
            return [], why
        return [culprit for each in giving for culprit in self._culprits(each)], ""

    def _gives(self, binding: Body, right: Right, groups: tuple[str, ...]) -> bool:
        where = _space(binding)
        if where and where != right.namespace:
            return False
        if not any(_is(each, where, right.user, groups) for each in binding.get("subjects") or ()):
            return False
        role = self._role(binding)
        return role is not None and any(_covers(rule, right) for rule in role.get("rules") or ())

    def _role(self, binding: Body) -> Body | None:
        ref = binding["roleRef"]
        return self._roles.get(("" if ref["kind"] == "ClusterRole" else _space(binding), ref["name"]))

    def _doubt(self, right: Right, groups: tuple[str, ...], giving: Items) -> str:
        """Why what the objects say is not believed; "" where the API server says the same."""
        resource, _, below = right.resource.partition("/")
        asked = {
            "verb": right.verb, "group": right.group, "resource": resource, "subresource": below,
            "namespace": right.namespace, "name": right.name,
        }  # fmt: skip
        answer = self._api.request("POST", REVIEWS, body=access_review(right.user, groups, asked))
        status = answer.body.get("status", {}) if answer.ok else {}
        if status.get("allowed") is not True:
            return f"bindings give the right to {right}, and the API server says that it is not there"
        said = _SAYS.search(str(status.get("reason", "")))
        if said is None:
            return f"the API server says that not RBAC gives the right to {right}: {status.get('reason', '')}"
        named = f"{said[1]} {said[2].partition('/')[0]}"
        if named not in {f"{each['kind_']} {each['metadata']['name']}" for each in map(_kinded, giving)}:
            return f"the API server names {named}, which is not among the bindings that give the right to {right}"
        return ""

    def _culprits(self, binding: Body) -> Iterator[Culprit]:
        ref, kinded = binding["roleRef"], _kinded(binding)
        name = ObjectName(kinded["kind_"], binding["metadata"]["name"], _space(binding))
        yield Culprit(name, f"binds {ref['kind']} {ref['name']}")
        role = self._role(binding)
        if role is not None and _DEFAULTS not in (role["metadata"].get("labels") or {}):
            yield Culprit(ObjectName(ref["kind"], ref["name"], _space(role)), "has the rule")


def _kinded(binding: Body) -> Body:
    """With its kind, which lists leave out of their items."""
    return {**binding, "kind_": "RoleBinding" if _space(binding) else "ClusterRoleBinding"}


def _word(binding: Body) -> str:
    return f"{_space(binding)}/{binding['metadata']['name']}"


def _space(item: Body) -> str:
    return str(item["metadata"].get("namespace") or "")


def _groups(user: str) -> tuple[str, ...]:
    """The groups of a service account, or of who shows nothing; of others only the one that all of them are in."""
    if user == _ANONYMOUS:
        return ("system:unauthenticated",)
    if user.startswith(_ACCOUNT):
        namespace = user.removeprefix(_ACCOUNT).partition(":")[0]
        return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return ("system:authenticated",)


def _is(subject: Mapping[str, JSON], where: str, user: str, groups: tuple[str, ...]) -> bool:
    match subject["kind"]:
        case "ServiceAccount":
            return user == f"{_ACCOUNT}{subject.get('namespace') or where}:{subject['name']}"
        case "User":
            return bool(subject["name"] == user)
        case "Group":
            return subject["name"] in groups
    return False


def _covers(rule: Mapping[str, JSON], right: Right) -> bool:
    below = right.resource.partition("/")[2]
    resources = {"*", right.resource, *([f"*/{below}"] if below else [])}
    names = rule.get("resourceNames") or ()
    return (
        _has(rule.get("verbs"), {"*", right.verb})
        and _has(rule.get("apiGroups"), {"*", right.group})
        and _has(rule.get("resources"), resources)
        and (not names or (bool(right.name) and right.name in names))
    )


def _has(given: Iterable[str] | None, wanted: set[str]) -> bool:
    return not wanted.isdisjoint(given or ())
