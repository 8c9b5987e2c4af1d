"""Random places, ports and policies, by seed: everything that a NetworkPolicy can say, and ends of each kind."""

from __future__ import annotations

import random
from typing import Any

from pytest_k8ssec.facts.policies import End, Peer
from pytest_k8ssec.facts.policy_table import EndPort

NAMESPACES: dict[str, dict[str, str]] = {
    "a": {"kubernetes.io/metadata.name": "a", "team": "x"},
    "b": {"kubernetes.io/metadata.name": "b", "team": "x", "zone": "1"},
    "c": {"kubernetes.io/metadata.name": "c"},
    "bare": {},
}
KEYS = {"app": "xyz", "tier": "fb", "zone": "12", "nobody-asks": "mno"}
PROTOCOLS = ("TCP", "UDP", "SCTP")
NAMES = ("http", "dns", "web")
BLOCKS = (
    "0.0.0.0/0", "10.244.0.0/16", "10.244.0.0/24", "10.244.1.0/25", "10.244.1.7/24", "10.244.0.3/32", "172.18.0.0/16",
    "172.18.0.2/32", "203.0.113.0/24", "::/0", "fd00:10::/64", "fd00:10::5/128",
)  # fmt: skip


def ends(chance: random.Random, count: int) -> list[End]:
    """Pods of each family and of none, pods that are new and have no address, nodes, pods in their network, the outside."""
    found = [End("172.18.0.2", "one"), End("172.18.0.3", "two"), End(""), End("203.0.113.9")]
    for number in range(count):
        node = chance.choice(("one", "two", "three", ""))
        namespace = chance.choice(list(NAMESPACES))
        worn = {key: chance.choice(values) for key, values in KEYS.items() if chance.random() < 0.6}
        peer = Peer(namespace, NAMESPACES[namespace], worn)
        address = chance.choice([f"10.244.{number % 2}.{number}"] * 6 + [f"fd00:10::{number}", ""])
        named = frozenset(
            (chance.choice(NAMES), chance.choice(PROTOCOLS), chance.choice((80, 53, 8080)))
            for _ in range(chance.randrange(4))
        )
        hosted = End.of({"one": "172.18.0.2", "two": "172.18.0.3"}.get(node, address), node, peer, named, hosted=True)
        found.append(chance.choice([End(address, node, peer, named)] * 6 + [hosted]))
    return found


def entrances(chance: random.Random, there: list[End]) -> list[EndPort]:
    """Some ports of each end; not always one after the other."""
    found = [
        (end, port, chance.choice(PROTOCOLS))
        for end in there
        for port in chance.sample((53, 80, 443, 8080, 9000), chance.randint(1, 3))
    ]
    if chance.random() < 0.5:
        chance.shuffle(found)
    return found


def policies(chance: random.Random, count: int) -> list[dict[str, Any]]:
    """Policies as the API server hands them out, with what is left out left out, or null."""
    return [_policy(chance) for _ in range(count)]


def _policy(chance: random.Random) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    if chance.random() < 0.9:
        spec["podSelector"] = chance.choice([{}, None, _selector(chance), _selector(chance)])
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        if chance.random() < 0.7:
            spec[direction] = [_rule(chance, peers) for _ in range(chance.randrange(3))]
    types = chance.choice([None, [], ["Ingress"], ["Egress"], ["Ingress", "Egress"]])
    if types is not None:
        spec["policyTypes"] = types
    return {"metadata": {"name": "p", "namespace": chance.choice([*NAMESPACES, "gone"])}, "spec": spec}


NODE_LABELS: dict[str, dict[str, str]] = {"one": {"role": "control-plane"}, "two": {}, "three": {"role": "worker"}}


def admin(chance: random.Random, count: int) -> list[dict[str, Any]]:
    """Policies for the whole cluster of each kind, each with its kind; some of one priority."""
    return [_admin(chance, number) for number in range(count)]


def _admin(chance: random.Random, number: int) -> dict[str, Any]:
    kind = chance.choice(("AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"))
    spec: dict[str, Any] = {"subject": _pods(chance)}
    accept = "Accept" if kind == "ClusterNetworkPolicy" else "Allow"
    if kind != "BaselineAdminNetworkPolicy":
        spec["priority"] = chance.choice((0, 7, 7, 30))
    if kind == "ClusterNetworkPolicy":
        spec["tier"] = chance.choice(("Admin", "Baseline"))
    actions = (accept, "Deny") if kind == "BaselineAdminNetworkPolicy" else (accept, "Deny", "Pass")
    for way in ("ingress", "egress"):
        if chance.random() < 0.7:
            spec[way] = [_admin_rule(chance, kind, way, actions) for _ in range(chance.randint(0, 3))]
    return {"kind": kind, "metadata": {"name": f"admin-{number}"}, "spec": spec}


def _admin_rule(chance: random.Random, kind: str, way: str, actions: tuple[str, ...]) -> dict[str, Any]:
    action = chance.choice(actions)
    peers = [_pods(chance) for _ in range(chance.randint(0, 2))]
    if way == "egress" and chance.random() < 0.5:
        further: list[dict[str, Any]] = [
            {"nodes": chance.choice([{}, {"matchLabels": {"role": "worker"}}])},
            {"networks": chance.sample(BLOCKS, chance.randint(1, 2))},
        ]
        if action in ("Allow", "Accept"):
            further.append({"domainNames": ["*.example.org"]})
        peers.append(chance.choice(further))
    rule: dict[str, Any] = {"action": action, "from" if way == "ingress" else "to": peers or [{"namespaces": {}}]}
    if chance.random() < 0.3:
        rule["name"] = "named"
    if chance.random() < 0.6:
        of_kind = _admin_protocol if kind == "ClusterNetworkPolicy" else _admin_port
        rule["protocols" if kind == "ClusterNetworkPolicy" else "ports"] = [
            of_kind(chance) for _ in range(chance.randint(1, 2))
        ]
    return rule


def _pods(chance: random.Random) -> dict[str, Any]:
    if chance.random() < 0.5:
        return {"namespaces": chance.choice([{}, _selector(chance), _selector(chance)])}
    return {"pods": {"namespaceSelector": chance.choice([{}, _selector(chance)]), "podSelector": _selector(chance)}}


def _admin_port(chance: random.Random) -> dict[str, Any]:
    protocol = {"protocol": chance.choice(PROTOCOLS)} if chance.random() < 0.8 else {}
    return chance.choice([
        {"portNumber": {**protocol, "port": chance.choice((53, 80, 443, 8080))}},
        {"portRange": {**protocol, "start": chance.choice((1, 53, 80)), "end": chance.choice((443, 8080))}},
        {"namedPort": chance.choice(NAMES)},
    ])  # fmt: skip


def _admin_protocol(chance: random.Random) -> dict[str, Any]:
    number = {"number": chance.choice((53, 80, 443, 8080))}
    some = {"range": {"start": chance.choice((1, 53, 80)), "end": chance.choice((443, 8080))}}
    said = chance.choice([{"destinationPort": number}, {"destinationPort": some}, {}])
    return chance.choice([
        {chance.choice(("tcp", "udp", "sctp")): said}, {chance.choice(("tcp", "udp", "sctp")): said},
        {"destinationNamedPort": chance.choice(NAMES)},
    ])  # fmt: skip


def _rule(chance: random.Random, peers: str) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    if chance.random() < 0.8:
        rule[peers] = chance.choice([None, [], *([[_peer(chance) for _ in range(chance.randint(1, 3))]] * 5)])
    if chance.random() < 0.6:
        rule["ports"] = chance.choice([None, [], *([[_port(chance) for _ in range(chance.randint(1, 2))]] * 5)])
    return rule


def _peer(chance: random.Random) -> dict[str, Any]:
    kind = chance.randrange(4)
    if kind == 0:
        block: dict[str, Any] = {"cidr": chance.choice(BLOCKS)}
        if chance.random() < 0.6:
            block["except"] = chance.sample(BLOCKS, chance.randint(0, 2))
        return {"ipBlock": block}
    if kind == 1:
        return {"podSelector": _selector(chance)}
    if kind == 2:
        return {"namespaceSelector": _selector(chance)}
    return {"namespaceSelector": _selector(chance), "podSelector": _selector(chance)}


def _port(chance: random.Random) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if chance.random() < 0.7:
        entry["protocol"] = chance.choice(PROTOCOLS)
    kind = chance.randrange(4)
    if kind == 0:
        entry["port"] = chance.choice(NAMES)
    elif kind == 1:
        entry |= {"port": chance.choice((1, 53, 80)), "endPort": chance.choice((80, 443, 8080))}
    elif kind == 2:
        entry["port"] = chance.choice((53, 80, 443, 8080, 9000))
    return entry


def _selector(chance: random.Random) -> dict[str, Any]:
    found: dict[str, Any] = {}
    keys = {**KEYS, "team": "xw", "kubernetes.io/metadata.name": "abc"}
    if chance.random() < 0.5:
        key = chance.choice(list(keys))
        found["matchLabels"] = chance.choice(
            [None, {}, {key: chance.choice(keys[key])}, {key: chance.choice(keys[key])}]
        )
    if chance.random() < 0.5:
        found["matchExpressions"] = [_requirement(chance, keys) for _ in range(chance.randint(1, 2))]
    return found


def _requirement(chance: random.Random, keys: dict[str, str]) -> dict[str, Any]:
    key, operator = chance.choice(list(keys)), chance.choice(("In", "NotIn", "Exists", "DoesNotExist"))
    values = {"values": chance.sample(keys[key], chance.randint(1, len(keys[key])))} if "In" in operator else {}
    return {"key": key, "operator": operator, **values}
