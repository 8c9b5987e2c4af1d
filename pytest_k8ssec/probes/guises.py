"""As whom a pod may be offered, and what it may wear: whatever admission could treat otherwise than a plain one of ours.

A rule of admission spares somebody: who is exempt from Pod Security, a controller whose pods nobody thought of, the label that
a policy's selector or condition leaves out. Each of these gives a guise. A condition is an expression, and nobody can tell from
outside what makes it false; the users, groups, labels and annotations that it names are tried.

Sources: https://kubernetes.io/docs/concepts/security/pod-security-admission/#exemptions,
https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#matching-requests-matchconditions,
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-objectselector,
https://kubernetes.io/docs/concepts/policy/resource-quotas/#quota-scopes
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import NoAccess, as_probe_error
from pytest_k8ssec.evidence import JSON
from pytest_k8ssec.facts.node import argument_document, arguments, control_planes
from pytest_k8ssec.probes.identities import ACCESS_REVIEWS, attributes, own_rights_review

_GROUP = "/apis/admissionregistration.k8s.io/v1/"
_POLICIES = ("validatingadmissionpolicies", "validatingadmissionpolicybindings", "validatingwebhookconfigurations")
_CLASSES = "/apis/node.k8s.io/v1/runtimeclasses"
_SYSTEM = "kube-system"
_CONTROLLERS = ("replicaset", "statefulset", "daemon-set", "job", "replication")
"""Those of kube-controller-manager that make pods; with ``-controller`` that is the account of each."""
_ACCOUNT = "system:serviceaccount:"
_ACCOUNTS = "system:serviceaccounts"
_USER = re.compile(r"""["'](system:[\w:.-]+)["']""")
_META = r"object\.metadata\.\??(labels|annotations)"
_INDEXED = re.compile(
    _META + r"""\s*\.?\s*\[\s*\??\s*["']([^"']+)["']\s*\]"""  # labels["x"], and labels[?"x"].orValue("")
    r"""(?:\.orValue\(["'][^"']*["']\))?(?:[^"'=!&|]{0,30}[=!]=\s*["']([^"']*)["'])?"""
)
_WITHIN = re.compile(r"""["']([^"']+)["']\s+in\s+""" + _META)
_WORN = "true"
"""The value of a label or an annotation of which a rule only asks whether it is there."""
_DEADLINE = 3600
_MEMBER = "k8ssec"
_CONFIGURATION = "admission-control-config-file"


@dataclass(frozen=True, slots=True)
class Guise:
    """One way to offer a pod."""

    name: str = ""
    """In words, "" for a plain pod of our administrator's."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Who it is that offers it."""
    meta: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Labels and annotations that the pod wears, each by its key."""
    spec: Mapping[str, JSON] = field(default_factory=dict)
    """Fields of its spec."""
    named: bool = False
    """Whether a rule of admission names it."""

    def wear(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """The pod in this guise."""
        if not (self.meta or self.spec):
            return dict(manifest)
        worn = copy.deepcopy(dict(manifest))
        for kind, values in self.meta.items():
            worn["metadata"][kind] = {**(worn["metadata"].get(kind) or {}), **values}
        worn["spec"] |= self.spec
        return worn

    @property
    def kind(self) -> str:
        """How a report names it beside others: ``plain`` where it is nothing else."""
        return self.name or "plain"

    @property
    def user(self) -> str:
        """Who offers it, "" for our administrator."""
        return self.headers.get("Impersonate-User", "")

    def __str__(self) -> str:
        """To stand behind what is offered."""
        return f" {self.name}" if self.name else ""


PLAIN = Guise()
"""A pod of our administrator's, without anything that a rule may look at."""


def in_guises(cluster: Cluster) -> tuple[Guise, ...]:
    """Each controller that makes pods, and all that the rules of admission name: users, groups, labels, runtime classes.

    Who may do everything is left out.

    Raises:
        ProbeError: the API server did not list its rules, or the file of its exemptions can't be read.
    """
    with as_probe_error():
        rules = [rule for kind in _POLICIES for rule in cluster.api.list(_GROUP + kind)]
        classes = [each["metadata"]["name"] for each in cluster.api.list(_CLASSES)]
    named = (replace(each, named=True) for rule in rules for each in (*_by_selectors(rule), *_by_expressions(rule)))
    spared = {guise.name: guise for guise in (*_exempt(cluster), *map(_of_class, classes), *named)}
    makers = {guise.name: guise for guise in _controllers()}
    others = {name: guise for name, guise in spared.items() if not (guise.user and _may_do_all(cluster, guise))}
    return tuple((makers | others).values())


def _may_do_all(cluster: Cluster, guise: Guise) -> bool:
    """Whether it is an administrator, such as a member of system:masters: spared or not, he could take the rule away."""
    body = own_rights_review(attributes("*", "*", group="*"))
    with as_probe_error():
        answer = cluster.api.request("POST", ACCESS_REVIEWS, body=body, headers=guise.headers)
    return answer.ok and answer.body["status"].get("allowed") is True


def by_scopes(quotas: Iterable[Body]) -> tuple[Guise, ...]:
    """What a quota may leave out of its scope: pods that end by themselves, and those of the priorities that it names."""
    scoped = [each["spec"] for each in quotas if each["spec"].get("scopes") or each["spec"].get("scopeSelector")]
    if not scoped:
        return ()
    wanted = [each for spec in scoped for each in (spec.get("scopeSelector") or {}).get("matchExpressions") or ()]
    names = {name for each in wanted if each.get("scopeName") == "PriorityClass" for name in each.get("values") or ()}
    ends = Guise("with a deadline", spec={"activeDeadlineSeconds": _DEADLINE})
    return (ends, *(Guise(f"of priority {name}", spec={"priorityClassName": name}) for name in sorted(names)))


def _controllers() -> Iterator[Guise]:
    """No user creates the pods of workloads himself."""
    return (_as_user(f"{_ACCOUNT}{_SYSTEM}:{each}-controller") for each in _CONTROLLERS)


def _as_user(name: str) -> Guise:
    """A user. The API server adds the groups that every one has, and those of a service account.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
    """
    return Guise(f"as {name}", {"Impersonate-User": name})


def _as_member(group: str) -> Guise:
    """A member of a group; of the accounts of kube-system one that makes pods."""
    if group in (_ACCOUNTS, f"{_ACCOUNTS}:{_SYSTEM}"):
        return next(_controllers())
    if group.startswith(f"{_ACCOUNTS}:"):
        return _as_user(f"{_ACCOUNT}{group.rpartition(':')[2]}:default")
    return Guise(f"as a member of {group}", {"Impersonate-User": _MEMBER, "Impersonate-Group": group})


def _of_class(name: str) -> Guise:
    return Guise(f"of runtime class {name}", spec={"runtimeClassName": name})


def _exempt(cluster: Cluster) -> Iterator[Guise]:
    """Who is exempt from Pod Security, where a control-plane node can be entered to look; without a file nobody is."""
    nodes: list[Node] = []
    with suppress(NoAccess):
        nodes = control_planes(cluster)
    for node in nodes:
        if not arguments(cluster, node, "kube-apiserver").get(_CONFIGURATION):
            continue
        document = argument_document(cluster, node, "kube-apiserver", _CONFIGURATION)
        for plugin in document.get("plugins") or ():
            exemptions = (plugin.get("configuration") or {}).get("exemptions") or {}
            yield from map(_as_user, exemptions.get("usernames") or ())
            yield from map(_of_class, exemptions.get("runtimeClasses") or ())


def _by_selectors(rule: Body) -> Iterator[Guise]:
    """What a selector on objects leaves out; what it asks for, a plain pod does not have."""
    spec = rule.get("spec") or {}
    places = [spec.get("matchConstraints"), spec.get("matchResources"), *(rule.get("webhooks") or ())]
    for place in places:
        for each in ((place or {}).get("objectSelector") or {}).get("matchExpressions") or ():
            if each["operator"] == "NotIn":
                yield from (_wearing("labels", each["key"], value) for value in each.get("values") or ())
            elif each["operator"] == "DoesNotExist":
                yield _wearing("labels", each["key"], _WORN)


def _by_expressions(rule: Body) -> Iterator[Guise]:
    """The users, groups, labels and annotations that a rule's expressions name."""
    for text in _expressions(rule):
        for name in _USER.findall(text):
            yield _as_user(name) if name.startswith(_ACCOUNT) else _as_member(name)
        for kind, key, value in _INDEXED.findall(text):
            yield _wearing(kind, key, value or _WORN)
        for key, kind in _WITHIN.findall(text):
            yield _wearing(kind, key, _WORN)


def _expressions(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "expression" and isinstance(inner, str):
                yield inner
            elif key != "metadata":
                yield from _expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _expressions(inner)


def _wearing(kind: str, key: str, value: str) -> Guise:
    return Guise(f"with {kind.removesuffix('s')} {key}={value}", meta={kind: {key: value}})
