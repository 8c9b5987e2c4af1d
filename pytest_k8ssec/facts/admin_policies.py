"""Policies for the whole cluster, which come before and after NetworkPolicies: Kubernetes' network policy API.

First the tier Admin, by priority, then NetworkPolicies, then the tier Baseline. In a tier the first rule that is about a
connection decides: it accepts, denies, or passes on to the next tier. Pods in their nodes' network are neither subjects nor
peers.

Sources: https://network-policy-api.sigs.k8s.io/api-overview/ and apis/v1alpha1, apis/v1alpha2 of
https://github.com/kubernetes-sigs/network-policy-api
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_k8ssec.evidence import JSON
from pytest_k8ssec.facts.policies import Policy

ADMIN_GROUP = "policy.networking.k8s.io"
ADMIN_KINDS = ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy")
Tier = Literal["Admin", "Baseline"]
Direction = Literal["ingress", "egress"]
PEERS_OF: Mapping[Direction, str] = {"ingress": "from", "egress": "to"}
ACCEPTS = ("Allow", "Accept")
PROTOCOLS = ("TCP", "UDP", "SCTP")
_PORT_MAX = 65535


@dataclass(frozen=True, slots=True)
class AdminPolicy:
    """An AdminNetworkPolicy, a BaselineAdminNetworkPolicy or a ClusterNetworkPolicy."""

    kind: str
    body: Policy

    @property
    def tier(self) -> Tier:
        """Whether it comes before NetworkPolicies or after them."""
        baseline = self.kind == "BaselineAdminNetworkPolicy" or self.body["spec"].get("tier") == "Baseline"
        return "Baseline" if baseline else "Admin"

    @property
    def priority(self) -> int:
        """Lower ones come first. Of two that are equal nobody knows which does."""
        return int(self.body["spec"].get("priority") or 0)

    @property
    def subject(self) -> Mapping[str, JSON]:
        """The pods that it holds for, as a peer."""
        return peer_of(self.body["spec"]["subject"])

    def rules(self, way: Direction) -> Sequence[Mapping[str, JSON]]:
        """Those of one direction, in their order."""
        return self.body["spec"].get(way) or ()

    def __str__(self) -> str:
        return f"{self.kind} {self.body['metadata']['name']}"


def peer_of(peer: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """Pods, as a NetworkPolicy's peer names them."""
    if "pods" in peer:
        pods = peer["pods"]
        return {
            "namespaceSelector": pods.get("namespaceSelector") or {},
            "podSelector": pods.get("podSelector") or {},
        }
    return {"namespaceSelector": peer["namespaces"]}


def ports_of(rule: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """The ports of a rule, as a NetworkPolicy's rule names them; none is every port."""
    return [one for each in (*(rule.get("ports") or ()), *(rule.get("protocols") or ())) for one in _ports(each)]


def _ports(entry: Mapping[str, JSON]) -> Iterator[dict[str, JSON]]:
    ((kind, said),) = entry.items()
    match kind:
        case "portNumber":
            yield {"protocol": said.get("protocol", "TCP"), "port": said["port"]}
        case "portRange":
            yield {"protocol": said.get("protocol", "TCP"), "port": said["start"], "endPort": said["end"]}
        case "namedPort" | "destinationNamedPort":
            yield from ({"protocol": protocol, "port": said} for protocol in PROTOCOLS)  # whichever it is of
        case _:
            yield {"protocol": kind.upper(), **_destination_port(said.get("destinationPort") or {})}


def _destination_port(port: Mapping[str, JSON]) -> dict[str, JSON]:
    if "range" in port:
        return {"port": port["range"]["start"], "endPort": port["range"]["end"]}
    return {"port": port["number"]} if "number" in port else {}


def edges_of(rule: Mapping[str, JSON]) -> Iterator[tuple[int, str]]:
    """The ports, by number and protocol, where what a rule says begins and ends, and those next to them on either side.

    A rule may deny, so what it does not name counts too: between two neighbours of these all ports are alike for it.
    """
    for each in ports_of(rule):
        if isinstance(first := each.get("port"), int):
            last = int(each.get("endPort") or first)
            near = {first - 1, first, last, last + 1}
            yield from ((port, each["protocol"]) for port in sorted(near) if 0 < port <= _PORT_MAX)


# What is known of them. An object may be of a newer version, or of an older one, with fields of another meaning.


def unread(policy: AdminPolicy) -> bool:
    """Whether something in a policy is not known here: then nobody can tell what it says."""
    spec = policy.body.get("spec")
    if not isinstance(spec, Mapping) or spec.get("tier", "Admin") not in ("Admin", "Baseline"):
        return True
    if policy.kind not in ADMIN_KINDS or not _one(spec.get("subject"), _SUBJECTS):
        return True
    return not all(_known(rule, way) for way in PEERS_OF for rule in spec.get(way) or ())


def _known(rule: Mapping[str, JSON], way: Direction) -> bool:
    peers = rule.get(PEERS_OF[way])
    known = _SUBJECTS if way == "ingress" else {**_SUBJECTS, **_PLACES}
    return (
        rule.get("action") in (*ACCEPTS, "Deny", "Pass")
        and (rule["action"] in ACCEPTS or not any("domainNames" in each for each in peers or ()))
        and set(rule) <= {"name", "action", PEERS_OF[way], "ports", "protocols"}
        and bool(peers)
        and all(_one(each, known) for each in peers or ())
        and all(_one(each, _PORTS) for each in (*(rule.get("ports") or ()), *(rule.get("protocols") or ())))
    )


def _one(said: JSON, known: Mapping[str, Callable[[JSON], bool]]) -> bool:
    """Whether exactly one of the known fields is set, and to something that is known."""
    return isinstance(said, Mapping) and len(said) == 1 and all(key in known and known[key](said[key]) for key in said)


def _selector(said: JSON) -> bool:
    return isinstance(said, Mapping) and set(said) <= {"matchLabels", "matchExpressions"}


def _pods(said: JSON) -> bool:
    return (
        isinstance(said, Mapping)
        and set(said) <= {"namespaceSelector", "podSelector"}
        and all(_selector(each) for each in said.values())
    )


def _list(said: JSON) -> bool:
    return isinstance(said, list)


def _has(*fields: str) -> Callable[[JSON], bool]:
    return lambda said: isinstance(said, Mapping) and set(said) <= {*fields}


_SUBJECTS: Mapping[str, Callable[[JSON], bool]] = {"namespaces": _selector, "pods": _pods}
_PLACES: Mapping[str, Callable[[JSON], bool]] = {"nodes": _selector, "networks": _list, "domainNames": _list}
_PROTOCOL = _has("destinationPort")
_PORTS: Mapping[str, Callable[[JSON], bool]] = {
    "portNumber": _has("protocol", "port"),
    "portRange": _has("protocol", "start", "end"),
    "namedPort": lambda said: isinstance(said, str),
    "destinationNamedPort": lambda said: isinstance(said, str),
    "tcp": _PROTOCOL,
    "udp": _PROTOCOL,
    "sctp": _PROTOCOL,
}
