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
