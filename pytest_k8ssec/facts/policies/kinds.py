"""The policies of a cluster that are no NetworkPolicies: those for the whole cluster, and those of kinds that are not read here.

Which kinds there are the API server is asked (discovery). A network's own kinds (Cilium's, Calico's, Antrea's) have semantics of
their own, with orders, layers and names of domains: that they are there is told, and what policies should give is unknown then.

Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pytest_k8ssec.clusters.api import KubeApi
from pytest_k8ssec.errors import ClusterError
from pytest_k8ssec.evidence import JSON
from pytest_k8ssec.facts.policies.admin import ADMIN_GROUP, AdminPolicy, edges_of, ports_of, unread
from pytest_k8ssec.facts.policies.network import Labels, Policy
from pytest_k8ssec.plain import few

_COMPUTED = "controlplane.antrea.io"
"""What Antrea's controller computes from the policies of others, each NetworkPolicy among them."""
_BUILT_IN = ".k8s.io"
"""Groups whose names end so are Kubernetes' own; one of them has policies for the whole cluster."""
_STAGED = "Staged"
"""Calico's kinds that begin so are tried out: nothing is enforced by them."""
_CALICO = "projectcalico.org"
_SHOWN = ("knp.", "kanp.", "kbanp.", "kcnp.")
"""Calico's API shows Kubernetes' own policies among its own, under names that begin so, which nothing else may have."""
_NUMBERS = re.compile(r"(\d{1,5})(?:[:-](\d{1,5}))?")
_NAME = re.compile(r"[a-z0-9-]*[a-z][a-z0-9-]*")
_PORT_KEYS = ("port", "ports", "endPort", "notPorts")
_PORT_MAX = 65535


@dataclass(frozen=True, slots=True)
class OtherPolicies:
    """What is in force beside NetworkPolicies."""

    admin: tuple[AdminPolicy, ...] = ()
    """Those for the whole cluster."""
    nodes: Mapping[str, Labels] = field(default_factory=dict)
    """The labels of each node, which those may name; empty where there are none of those."""
    strange: tuple[str, ...] = ()
    """Kinds, or objects, that are not read here, in words: what policies should give is not known."""
    objects: tuple[Policy, ...] = ()
    """The objects of those kinds."""

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.admin or self.strange)

    def __str__(self) -> str:
        return few([*map(str, self.admin), *self.strange])

    def edges(self) -> list[tuple[int, str]]:
        """The ports, by number and protocol, where what they say of leaving begins and ends, and those next to them.

        Of kinds that are not read, every number that stands where a port may stand, over TCP and UDP.
        """
        read = {one for each in self.admin for rule in each.rules("egress") for one in edges_of(rule)}
        named = {
            port
            for each in self.objects
            for number in _numbers(each.get("spec"))
            for port in (number - 1, number, number + 1)
        }
        return sorted(read | {(port, kind) for port in named if 0 < port <= _PORT_MAX for kind in ("TCP", "UDP")})

    def names(self) -> list[tuple[str, str]]:
        """The names of ports in what they say of leaving, each over TCP."""
        read = (one.get("port") for each in self.admin for rule in each.rules("egress") for one in ports_of(rule))
        told = {name for each in self.objects for name in _said(each.get("spec")) if _NAME.fullmatch(name)}
        return sorted((name, "TCP") for name in told | {each for each in read if isinstance(each, str)})


def other_policies(api: KubeApi) -> OtherPolicies:
    """Those that a cluster has.

    Raises:
        ClusterError: the API server did not say which groups it serves.
    """
    admin: list[AdminPolicy] = []
    strange: dict[str, None] = {}
    objects: list[Policy] = []
    for group in api.get("/apis").get("groups") or ():
        name = group["name"]
        if name == _COMPUTED or (name != ADMIN_GROUP and (name.endswith(_BUILT_IN) or "." not in name)):
            continue
        try:
            for kind, path in _kinds(api, group):
                found = [each for each in api.list(path) if not _is_shown(name, each)]
                read = [AdminPolicy(kind, each) for each in found] if name == ADMIN_GROUP else []
                admin += [each for each in read if not unread(each)]
                strange |= dict.fromkeys(f"{each}, of a form that is not known" for each in read if unread(each))
                objects += [each.body for each in read if unread(each)]
                if found and name != ADMIN_GROUP:
                    strange[f"{kind} ({name})"] = None
                    objects += found
        except ClusterError as error:
            strange[f"those of {name}, which can't be listed ({error.message})"] = None
    nodes = (
        {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in api.list("/api/v1/nodes")}
        if admin
        else {}
    )
    return OtherPolicies(tuple(admin), nodes, tuple(strange), tuple(objects))


def _is_shown(group: str, policy: Policy) -> bool:
    """Whether it is one of Kubernetes' own, which is read where it comes from."""
    name: str = policy["metadata"]["name"]
    return group == _CALICO and name.startswith(_SHOWN)


def _kinds(api: KubeApi, group: Mapping[str, JSON]) -> Iterator[tuple[str, str]]:
    """The kinds of policies that a group serves, each in one version, and where they are listed."""
    versions = [each["groupVersion"] for each in group.get("versions") or ()]
    first = (group.get("preferredVersion") or {}).get("groupVersion")
    seen: set[str] = set()
    for version in sorted(versions, key=lambda each: each != first):
        for resource in api.get(f"/apis/{version}").get("resources") or ():
            kind = resource["kind"]
            wanted = kind.endswith("NetworkPolicy") and not kind.startswith(_STAGED)
            if wanted and "/" not in resource["name"] and kind not in seen:
                seen.add(kind)
                yield kind, f"/apis/{version}/{resource['name']}"


def _numbers(said: JSON) -> Iterator[int]:
    """Every number that stands where a port may stand."""
    for text in _said(said):
        if match := _NUMBERS.fullmatch(text):
            yield from (int(each) for each in match.groups() if each)


def _said(said: JSON, *, at_port: bool = False) -> Iterator[str]:
    """All that stands where a port may stand."""
    if isinstance(said, Mapping):
        for key, each in said.items():
            yield from _said(each, at_port=key in _PORT_KEYS)
    elif isinstance(said, list):
        for each in said:
            yield from _said(each, at_port=at_port)
    elif at_port:
        yield str(said)
