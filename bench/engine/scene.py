"""The objects that are computed on: a cluster that is not there, by seed, as its API server would list it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Body = dict[str, Any]
NAMESPACES = 100
PODS = 10
"""In each namespace."""
POLICIES = 100
_NODES = 20
_SEED = 12
_TEAMS = 20
_ROLES = ("web", "api", "db", "cache", "queue", "batch")
_PORTS = {
    "web": [("http", 8080, "TCP"), ("metrics", 9100, "TCP")],
    "api": [("http", 8000, "TCP"), ("grpc", 9000, "TCP"), ("metrics", 9100, "TCP")],
    "db": [("sql", 5432, "TCP"), ("metrics", 9187, "TCP")],
    "cache": [("cache", 6379, "TCP")],
    "queue": [("amqp", 5672, "TCP"), ("cluster", 25672, "TCP")],
    "batch": [("syslog", 514, "UDP"), ("metrics", 9100, "TCP")],
    "agent": [("metrics", 9100, "TCP")],
}
_STATEFUL = ("db", "queue")


@dataclass(frozen=True, slots=True)
class Scene:
    """All objects that the answers depend on."""

    name: str
    namespaces: list[Body]
    pods: list[Body]
    policies: list[Body]

    def store(self, folder: Path) -> None:
        """Write the lists that the API server would give, a file each."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, kind, items in (
            ("namespaces", "NamespaceList", self.namespaces),
            ("pods", "PodList", self.pods),
            ("networkpolicies", "NetworkPolicyList", self.policies),
        ):
            (folder / f"{name}.json").write_text(json.dumps({"kind": kind, "items": items}))


def shared() -> Scene:
    """Workloads of some pods each, by whose roles, teams, zones and addresses policies tell them apart."""
    return _scene("shared", _mixed, agents=True)


def single() -> Scene:
    """Pods of which none is in its node's network; each of them is named by a rule that names no other one, so that each is a class of its own."""
    return _scene("single", _each_named, agents=False)


def _scene(name: str, rules: Callable[[random.Random, int, list[Body]], Body], *, agents: bool) -> Scene:
    chance = random.Random(_SEED)  # noqa: S311 - so that the scene is the same each time
    namespaces = [_namespace(chance, number) for number in range(NAMESPACES)]
    pods = [pod for number in range(NAMESPACES) for pod in _pods(chance, number, agents=agents)]
    policies = [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": f"policy-{number}", "namespace": _space(number % NAMESPACES)},
            "spec": rules(chance, number, pods),
        }
        for number in range(POLICIES)
    ]
    return Scene(name, namespaces, pods, policies)


def _space(number: int) -> str:
    return f"space-{number:03}"


def _namespace(chance: random.Random, number: int) -> Body:
    name = _space(number)
    labels = {
        "kubernetes.io/metadata.name": name, "team": f"team-{number % _TEAMS}", "zone": chance.choice("abc"),
        "pod-security.kubernetes.io/enforce": "restricted",
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _pods(chance: random.Random, number: int, *, agents: bool) -> Iterator[Body]:
    """Four workloads of a namespace; in every tenth, one of them may be in its nodes' network."""
    roles = chance.sample(_ROLES, 4)
    counts = [3, 3, 2, 2]
    at = 0
    for role, count in zip(roles, counts, strict=True):
        in_nodes_network = agents and number % 10 == 0 and role == roles[-1]
        for index in range(count):
            yield _pod(chance, number, at, "agent" if in_nodes_network else role, index)
            at += 1


def _pod(chance: random.Random, number: int, at: int, role: str, index: int) -> Body:
    node = (number + at) % _NODES
    hosted = role == "agent"
    address = f"172.18.0.{node + 2}" if hosted else f"10.{244 + number // 50}.{number % 50}.{at + 2}"
    suffix = str(index) if role in _STATEFUL else f"{chance.randrange(16**9):09x}-{chance.randrange(16**5):05x}"
    name = f"{role}-{suffix}"
    labels = {"app": role, "tier": "back" if role in ("db", "cache", "queue") else "front", "release": f"r{number % 7}"}
    if role in _STATEFUL:
        labels |= {"statefulset.kubernetes.io/pod-name": name, "apps.kubernetes.io/pod-index": str(index)}
    else:
        labels["pod-template-hash"] = suffix.partition("-")[0]
    ports = [{"name": each, "containerPort": port, "protocol": kind} for each, port, kind in _PORTS[role]]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": _space(number), "uid": f"{number}-{at}", "labels": labels},
        "spec": {
            "nodeName": f"node-{node}",
            "serviceAccountName": role,
            "containers": [
                {
                    "name": role,
                    "image": f"{role}:1.{number}",
                    "ports": ports,
                    "env": [{"name": "ROLE", "value": role}],
                    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
                    "securityContext": {"runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}},
                }
            ],
            **({"hostNetwork": True} if hosted else {}),
        },
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "hostIP": f"172.18.0.{node + 2}"},
    }


def _mixed(chance: random.Random, _number: int, pods: list[Body]) -> Body:
    """A policy as teams write them: both directions or one, selectors of each kind, blocks with exceptions, names of ports."""
    types = chance.choice([["Ingress"], ["Ingress"], ["Egress"], ["Ingress", "Egress"], ["Ingress", "Egress"]])
    spec: Body = {"podSelector": _selector(chance) if chance.random() < 0.6 else {}, "policyTypes": types}
    if "Ingress" in types:
        spec["ingress"] = [_rule(chance, "from", pods) for _ in range(chance.randint(1, 3))]
    if "Egress" in types:
        spec["egress"] = [_rule(chance, "to", pods) for _ in range(chance.randint(1, 3))]
    return spec


def _rule(chance: random.Random, peers: str, pods: list[Body]) -> Body:
    rule: Body = {peers: [_peer(chance, pods) for _ in range(chance.randint(1, 3))]}
    if chance.random() < 0.6:
        rule["ports"] = [_port(chance) for _ in range(chance.randint(1, 2))]
    return rule


def _peer(chance: random.Random, pods: list[Body]) -> Body:
    kind = chance.random()
    if kind < 0.2:
        number = chance.randrange(50)
        block = chance.choice([
            {"cidr": "10.244.0.0/15", "except": [f"10.244.{number}.0/24", f"10.245.{number}.0/29"]},
            {"cidr": f"10.244.{number}.0/24", "except": [f"10.244.{number}.4/32"]},
            {"cidr": f"{chance.choice(pods)['status']['podIP']}/32"},
            {"cidr": "172.18.0.0/16"},
        ])  # fmt: skip
        return {"ipBlock": block}
    space = chance.choice([
        {"matchLabels": {"team": f"team-{chance.randrange(_TEAMS)}"}},
        {"matchLabels": {"kubernetes.io/metadata.name": _space(chance.randrange(NAMESPACES))}},
        {"matchExpressions": [{"key": "zone", "operator": "In", "values": chance.sample("abc", 2)}]},
        {},
    ])  # fmt: skip
    if kind < 0.4:
        return {"podSelector": _selector(chance)}
    return (
        {"namespaceSelector": space} if kind < 0.6 else {"namespaceSelector": space, "podSelector": _selector(chance)}
    )


def _selector(chance: random.Random) -> Body:
    role = chance.choice(_ROLES)
    return chance.choice([
        {"matchLabels": {"app": role}},
        {"matchLabels": {"tier": chance.choice(("front", "back"))}},
        {"matchLabels": {"statefulset.kubernetes.io/pod-name": f"{chance.choice(_STATEFUL)}-0"}},
        {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": chance.sample(_ROLES, 2)}]},
        {"matchExpressions": [{"key": "apps.kubernetes.io/pod-index", "operator": "Exists"}]},
        {"matchLabels": {"tier": "back"}, "matchExpressions": [{"key": "release", "operator": "In", "values": ["r1", "r2"]}]},
    ])  # fmt: skip


def _port(chance: random.Random) -> Body:
    return chance.choice([
        {"protocol": "TCP", "port": chance.choice(("http", "metrics", "sql", "grpc"))},
        {"protocol": "TCP", "port": chance.choice((8080, 5432, 9100, 6379))},
        {"protocol": "TCP", "port": 8000, "endPort": 9999},
        {"protocol": "UDP"},
    ])  # fmt: skip


def _each_named(chance: random.Random, number: int, pods: list[Body]) -> Body:
    """A policy whose ten rules let in one pod each, by a label: those of the next namespace."""
    first = (number + 1) % NAMESPACES * PODS
    rules = [
        {
            "from": [
                {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": pod["metadata"]["namespace"]}},
                    "podSelector": {"matchLabels": {"pod": pod["metadata"]["labels"].setdefault("pod", f"p{at}")}},
                }
            ],
            "ports": [_port(chance)],
        }
        for at, pod in enumerate(pods[first : first + PODS])
    ]
    return {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": rules}
