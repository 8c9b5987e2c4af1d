"""The table of rights that lead further, beside making pods, roles and bindings: verbs, resource, scope, and what each leads to.

Each row makes one way up for each of its verbs. What can be tried is a request that changes nothing: about an object that
does not exist, and a dry run where it writes. What can't is asked for, by an access review: such rows say ``asked``.

Sources: each row's own; https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from zlib import crc32

from pytest_k8ssec.clusters.headers import MERGE_PATCH, METADATA_OF_MANY
from pytest_k8ssec.clusters.rbac_objects import RBAC, rule
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.probes.escalation import WEBSOCKET, Asker, WayUp, has_the_right
from pytest_k8ssec.probes.identities import NOBODY, RbacRules
from pytest_k8ssec.probes.podsecurity import fits

_GOOD = "https://kubernetes.io/docs/concepts/security/rbac-good-practices/"
_RBAC_DOCS = "https://kubernetes.io/docs/reference/access-authn-authz/rbac/"
_NETWORK = "networking.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_POLICY_DOCS = "https://kubernetes.io/docs/reference/access-authn-authz"
_METHODS = {"create": "POST", "get": "GET", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
_DRY_RUN = {"dryRun": "All"}
_CHANGE = ("update", "patch")
_UNDO = (*_CHANGE, "delete", "deletecollection")
_PROXIED = tuple(_METHODS)
_PARTS = ("status", "finalize")
"""Parts of an object that are written as the object is; by either its labels change too."""
_OF_NAMESPACES = (("namespaces", _CHANGE), ("namespaces/status", _CHANGE), ("namespaces/finalize", ("update",)))
"""By what a namespace's labels are written."""


@dataclass(frozen=True, slots=True)
class FurtherRight:
    """A row."""

    leads: str
    """What it leads to, in words."""
    resource: str
    """As RBAC writes it, with its subresource."""
    verbs: tuple[str, ...]
    """Each of them is enough."""
    source: str
    group: str = ""
    kind: str = ""
    version: str = "v1"
    content: Mapping[str, Any] = field(default_factory=dict)
    """What one that is made has beside its name."""
    made: str = NOBODY
    """The name of one that is made, where not any will do."""
    place: str = ""
    """The one namespace where it leads further, "" for each."""
    name: str = ""
    """The one object that it leads further by, "" for each; ``{namespace}`` is the place itself."""
    asked: bool = False
    """Whether it is asked for, and not tried."""
    also: tuple[tuple[str, str, str], ...] = ()
    """Verb, resource and group of further rights that it takes; they are asked for."""

    def ways(self, namespace: str) -> Iterator[WayUp]:
        """A way up for each verb, in a namespace or ("") in the cluster."""
        if self.place in ("", namespace):
            yield from (self._way(verb, namespace) for verb in self.verbs)

    def _way(self, verb: str, namespace: str) -> WayUp:
        itself, name = rule(verb, self.resource, group=self.group), self.name.format(namespace=namespace)
        also = tuple(rule(one, resource, group=group) for one, resource, group in self.also)
        # No update can be tried on an object that is there: it would have to be sent whole.
        asked = self.asked or (bool(name) and verb == "update")
        rights = (f"{one} {resource}" for one, resource, _ in ((verb, self.resource, self.group), *self.also))
        words = f"{self.leads} ({', '.join(rights)})"
        method, path, body, headers, params = ("", "", None, {}, {}) if asked else self._request(verb, namespace, name)
        return WayUp(
            words, (*also, itself), method, path, body, headers, params, asked=(itself, *also) if asked else also, name=name,
            leads=self.leads,
        )  # fmt: skip

    def _request(self, verb: str, namespace: str, name: str) -> tuple[str, str, Any, Mapping[str, str], dict[str, str]]:
        plural, _, below = self.resource.partition("/")
        place = f"/namespaces/{namespace}" if namespace and plural != "namespaces" else ""
        all_of_it = f"/{f'apis/{self.group}' if self.group else 'api'}/{self.version}{place}/{plural}"
        one = f"{all_of_it}/{name or NOBODY}"
        if below in _PARTS:
            whole = {"apiVersion": self.version, "kind": self.kind, "metadata": {"name": NOBODY}}
            patch = verb == "patch"
            return _METHODS[verb], f"{one}/{below}", {} if patch else whole, MERGE_PATCH if patch else {}, _DRY_RUN
        if below:
            upgrade = WEBSOCKET if verb == "get" and below != "proxy" else {}
            return _METHODS[verb], f"{one}/{below}", None, upgrade, {"stdout": "true"} if below == "attach" else {}
        if verb == "deletecollection":
            return "DELETE", all_of_it, None, METADATA_OF_MANY, {**_DRY_RUN, "fieldSelector": f"metadata.name={NOBODY}"}
        version = f"{self.group}/{self.version}" if self.group else self.version
        whole = {"apiVersion": version, "kind": self.kind, **self.content}
        if verb == "create":
            meta = {**self.content.get("metadata", {}), "name": self.made}
            return "POST", all_of_it, {**whole, "metadata": meta}, {}, _DRY_RUN
        if verb == "update":
            return "PUT", one, {**whole, "metadata": {"name": NOBODY}}, {}, _DRY_RUN
        return _METHODS[verb], one, {} if verb == "patch" else None, MERGE_PATCH if verb == "patch" else {}, _DRY_RUN


_READING = ("get", "list", "watch", "patch", "deletecollection")
IN_NAMESPACES = (
    FurtherRight(
        "undo what NetworkPolicies keep out", "networkpolicies", ("create", *_UNDO),
        "https://kubernetes.io/docs/concepts/services-networking/network-policies/", _NETWORK, "NetworkPolicy",
        content={"spec": {"podSelector": {}}},
    ),
    *(  # what admission counts by stands in its status
        FurtherRight(
            "undo the limits of a ResourceQuota", resource, verbs,
            "https://kubernetes.io/docs/concepts/policy/resource-quotas/", kind="ResourceQuota",
        )
        for resource, verbs in (("resourcequotas", _UNDO), ("resourcequotas/status", _CHANGE))
    ),
    *(  # an update of one that does not exist would make it, so that the right to create is asked about
        FurtherRight(
            "undo the limits of a LimitRange", "limitranges", verbs,
            "https://kubernetes.io/docs/concepts/policy/limit-range/", kind="LimitRange", asked=asked,
        )
        for verbs, asked in ((("update",), True), (tuple(each for each in _UNDO if each != "update"), False))
    ),
    *(
        FurtherRight(
            "undo a namespace's Pod Security level", resource, verbs, f"{_GOOD}#namespace-modification", kind="Namespace",
            name="{namespace}",
        )
        for resource, verbs in _OF_NAMESPACES
    ),
    FurtherRight(
        "talk to a process in a container", "pods/attach", ("create", "get"), f"{_RBAC_DOCS}#referring-to-resources",
    ),
    FurtherRight(
        "reach a pod's ports past NetworkPolicies", "pods/portforward", ("create", "get"),
        f"{_RBAC_DOCS}#referring-to-resources",
    ),
    *(
        FurtherRight(
            f"reach the ports of {what} past NetworkPolicies", f"{what}/proxy", _PROXIED,
            "https://kubernetes.io/docs/tasks/access-application-cluster/access-cluster-services/",
        )
        for what in ("pods", "services")
    ),
    *(
        FurtherRight(
            "make a token of another account and read it", "secrets", ("create",),
            "https://kubernetes.io/docs/concepts/configuration/secret/#serviceaccount-token-secrets", kind="Secret",
            content={
                "type": "kubernetes.io/service-account-token",
                "metadata": {"annotations": {"kubernetes.io/service-account.name": "default"}},
            },
            also=((reading, "secrets", ""),),
        )
        for reading in _READING
    ),
    *(
        FurtherRight(
            "bind itself to a Role", "roles", ("bind",), f"{_GOOD}#bind-verb", RBAC, asked=True,
            also=((writing, "rolebindings", RBAC),),
        )
        for writing in ("create", *_CHANGE)
    ),
    FurtherRight(
        "answer everybody's questions for names", "configmaps", _CHANGE,
        "https://kubernetes.io/docs/tasks/administer-cluster/dns-custom-nameservers/", kind="ConfigMap",
        place="kube-system", name="coredns",
    ),
)  # fmt: skip
"""What a right in one namespace leads to."""

_THING = {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}
_SCHEMA = {"openAPIV3Schema": {"type": "object"}}
IN_CLUSTER = (
    *(
        FurtherRight(
            f"undo what a {kind} does", f"{kind.lower()}s", ("delete", "deletecollection"),
            f"{_GOOD}#control-admission-webhooks", _ADMISSION, kind,
        )
        for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
    ),
    *(
        FurtherRight(
            f"undo what a {kind} refuses", plural, _UNDO, f"{_POLICY_DOCS}/validating-admission-policy/", _ADMISSION, kind,
        )
        for kind, plural in (
            ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
            ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
        )
    ),
    *(  # asked for: whether a server has these kinds, and in which version, differs
        FurtherRight(
            "change every write, or undo what changes it", plural, ("create", *_UNDO),
            f"{_POLICY_DOCS}/mutating-admission-policy/", _ADMISSION, asked=True,
        )
        for plural in ("mutatingadmissionpolicies", "mutatingadmissionpolicybindings")
    ),
    *(
        FurtherRight(
            "undo any namespace's Pod Security level", resource, verbs, f"{_GOOD}#namespace-modification", kind="Namespace",
        )
        for resource, verbs in _OF_NAMESPACES
    ),
    FurtherRight(  # to get it is what rbac-nodes-proxy looks for
        "do what a kubelet does", "nodes/proxy", tuple(each for each in _PROXIED if each != "get"),
        f"{_GOOD}#access-to-proxy-subresource-of-nodes",
    ),
    FurtherRight(
        "see objects by a conversion webhook, or undo a kind", "customresourcedefinitions", ("create", *_UNDO),
        "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/",
        "apiextensions.k8s.io", "CustomResourceDefinition", made="things.k8ssec.dev",
        content={"spec": {"group": "k8ssec.dev", "names": _THING, "scope": "Namespaced", "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": _SCHEMA}]}},
    ),
    FurtherRight(
        "answer for a part of the API", "apiservices", ("create", *_UNDO),
        "https://kubernetes.io/docs/tasks/extend-kubernetes/setup-extension-api-server/",
        "apiregistration.k8s.io", "APIService", made="v1.k8ssec.dev",
        content={"spec": {"group": "k8ssec.dev", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15,
                          "insecureSkipTLSVerify": True, "service": {"name": NOBODY, "namespace": "default"}}},
    ),
)  # fmt: skip
"""What a right in the whole cluster leads to."""


@cache
def further_ways(namespace: str) -> tuple[WayUp, ...]:
    """The table's ways up in a namespace, or ("") in the cluster."""
    return tuple(way for row in (IN_NAMESPACES if namespace else IN_CLUSTER) for way in row.ways(namespace))


def may_be_granted(way: WayUp, rules: RbacRules) -> bool:
    """Whether a list of rules gives each right that a way takes, on all objects or on some, or does not say that it doesn't."""
    if not rules.complete:
        return True
    return all(
        rules.grants(verb, resource, group=group) or rules.names(verb, resource, group=group)
        for verb, resource, group in map(right_of, way.rules)
    )


def right_of(right: Mapping[str, Any]) -> tuple[str, str, str]:
    """Verb, resource and group of a rule for one verb."""
    return right["verbs"][0], right["resources"][0], right["apiGroups"][0]


def asked_for(who: Asker, way: WayUp, namespace: str, rules: RbacRules | None = None) -> Evidence:
    """What the API server says of the rights that are asked for: of the first that is lacking, else of the last.

    Args:
        way: one that has such rights.
        rules: its rules there, which name the single objects that it may use them on; None for who may use them on all.

    Raises:
        ProbeError: no HTTP answer came, or one that says nothing.
    """
    for right in way.asked:
        verb, resource, group = right_of(right)
        named = rules.names(verb, resource, group=group) if rules is not None else []
        for name in [way.name] if way.name else ["", *named]:
            told = who.may(verb, resource, group=group, namespace=namespace, name=name)
            if told.outcome is Outcome.DONE:
                break
        if told.outcome is not Outcome.DONE:
            break
    return told


def by_names(way: WayUp) -> bool:
    """Whether a right on single objects has to be asked for beside what was tried: what is asked for is asked by all names."""
    verb, resource, _ = way.right
    alone = way.path and not way.asked and not way.name
    return bool(alone) and (verb not in ("create", "deletecollection") or "/" in resource)


def asked_way(
    who: Asker, way: WayUp, namespace: str, rules: RbacRules | None, send: Callable[[WayUp], Evidence]
) -> Evidence:
    """What comes of one way: of its request, and of what is asked for besides.

    Args:
        rules: see :func:`asked_for`.
        send: sends its request.

    Raises:
        ProbeError: no HTTP answer came, or one that says nothing.
    """
    if way.path:
        answer = send(way)
    if way.asked and (not way.path or gets_through(answer)):
        answer = asked_for(who, way, namespace, rules)
    return answer


def gets_through(answer: Evidence) -> bool | None:
    """Whether an answer shows the right that a way takes, None where it does not tell."""
    if answer.outcome in (Outcome.DONE, Outcome.ABSENT):  # that the API server was asked for it
        return answer.outcome is Outcome.DONE
    # A quota is asked last: whom only a full one keeps out had the right, and has it again when there is room.
    return fits(answer) or has_the_right(answer)


def try_ways(
    ways: Sequence[WayUp], rules: RbacRules, seed: str | None, ask: Callable[[WayUp], Evidence]
) -> tuple[dict[str, Evidence], list[WayUp]]:
    """Try the ways that a list of rules may grant, and one of the rest: where that is not refused, the list is not believed.

    Args:
        rules: of whoever tries, where it tries.
        seed: what the one of the rest is chosen by; None for none, where the list was checked in a place like this one.
        ask: tries one.

    Returns:
        the answers, by the words of what was tried; and what is told by the list alone.
    """
    read = rules.evidence.status == 201
    answers = {way.words: ask(way) for way in ways if not read or may_be_granted(way, rules)}
    rest = [way for way in ways if way.words not in answers]
    if rest and seed is not None:
        sample = rest.pop(crc32(seed.encode()) % len(rest))
        answers[sample.words] = ask(sample)
        if gets_through(answers[sample.words]) is not False:
            answers |= {way.words: ask(way) for way in rest}
            rest = []
    return answers, rest
