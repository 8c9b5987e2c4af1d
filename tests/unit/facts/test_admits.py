"""What NetworkPolicies let through: each clause of Kubernetes' definition by hand, and laws that hold for any policies."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from typing import Any

import pytest

from pytest_k8ssec.facts.listening_ports import named_ports
from pytest_k8ssec.facts.policies import End, Peer, policy_types
from pytest_k8ssec.facts.policy_table import ANSWERS, PolicyTable
from tests.unit.facts import policy_semantics


def admits(policies: list[dict[str, Any]], source: End, target: End, port: int, protocol: str = "TCP") -> bool | None:
    """One question to the table; the specification answers it alike."""
    table = PolicyTable(policies, [source], [(target, port, protocol)])
    answer = table.answer(0, 0)
    assert answer is policy_semantics.admits(policies, source, target, port, protocol)
    assert answer is ANSWERS[table.row(0)[0]]
    return answer


def isolated(policies: list[dict[str, Any]], end: End) -> list[bool]:
    """Whether what enters an end, and what leaves it, is held by a policy."""
    table = PolicyTable(policies, [end], [(end, 80, "TCP")])
    found = [table.isolates_target(0), table.isolates_source(0)]
    assert found == [policy_semantics.isolated(policies, end, each) for each in ("Ingress", "Egress")]
    return found


def pod(namespace: str, app: str, address: str, node: str = "one", **named: int) -> End:
    """A pod with one label; named ports are TCP."""
    peer = Peer(namespace, {"kubernetes.io/metadata.name": namespace, "team": namespace}, {"app": app})
    return End(address, node, peer, frozenset((name, "TCP", port) for name, port in named.items()))


WEB_LABELS = {"kubernetes.io/metadata.name": "web", "team": "web"}
WEB_PORT = frozenset({("http", "TCP", 8080)})
SHOP = pod("web", "shop", "10.244.0.5")
API = pod("pay", "api", "10.244.1.6", "two", http=8080)
LEDGER = pod("pay", "ledger", "10.244.1.7", "two")
NODE_ONE, NODE_TWO = End("172.18.0.2", "one"), End("172.18.0.3", "two")
PROXY = End.of("172.18.0.2", "one", Peer("web", WEB_LABELS, {"app": "proxy"}), WEB_PORT, hosted=True)
"""A pod in the network of node one."""
OUTSIDE = End("203.0.113.9")


def policy(namespace: str = "pay", app: str = "", **spec: Any) -> dict[str, Any]:
    """A policy; without an app it is for all pods of its namespace."""
    selector = {"matchLabels": {"app": app}} if app else {}
    return {"metadata": {"name": "p", "namespace": namespace}, "spec": {"podSelector": selector, **spec}}


def ingress(*rules: dict[str, Any], app: str = "") -> dict[str, Any]:
    """A policy of the API's namespace for what enters."""
    return policy(app=app, policyTypes=["Ingress"], ingress=list(rules))


def egress(*rules: dict[str, Any]) -> dict[str, Any]:
    """A policy of the shop's namespace for what leaves."""
    return policy("web", policyTypes=["Egress"], egress=list(rules))


WEB = {"namespaceSelector": {"matchLabels": {"team": "web"}}}
PAY = {"namespaceSelector": {"matchLabels": {"team": "pay"}}}


def test_without_a_policy_everything_is_let_through() -> None:
    """Nobody is isolated."""
    assert admits([], SHOP, API, 8080) is True
    assert admits([policy("elsewhere", policyTypes=["Ingress", "Egress"])], SHOP, API, 8080) is True
    assert [False, False] == isolated([], API)


def test_a_policy_without_rules_lets_nothing_through_in_its_directions() -> None:
    """Ingress for the target, egress for the source, and neither for anybody else."""
    assert admits([ingress()], SHOP, API, 8080) is False
    assert admits([ingress()], API, SHOP, 8080) is True
    assert admits([egress()], SHOP, API, 8080) is False
    assert admits([egress()], API, SHOP, 8080) is True
    assert [True, False] == isolated([ingress()], API)
    assert [False, True] == isolated([egress()], SHOP)


def test_both_ends_must_let_it_through() -> None:
    """What the target admits, the source's own policies may forbid, and the other way round."""
    assert admits([egress({"to": [PAY]}), ingress({"from": [WEB]})], SHOP, API, 8080) is True
    assert admits([egress({"to": [PAY]}), ingress({"from": [PAY]})], SHOP, API, 8080) is False
    assert admits([egress({"to": [WEB]}), ingress({"from": [WEB]})], SHOP, API, 8080) is False


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, ("Ingress",)),
        ({"ingress": [{}]}, ("Ingress",)),
        ({"egress": []}, ("Ingress",)),
        ({"egress": [{}]}, ("Ingress", "Egress")),
        ({"policyTypes": [], "egress": [{}]}, ("Ingress", "Egress")),
        ({"policyTypes": ["Egress"]}, ("Egress",)),
        ({"policyTypes": ["Ingress"], "egress": [{}]}, ("Ingress",)),
    ],
)
def test_directions_that_are_not_named(spec: dict[str, Any], expected: tuple[str, ...]) -> None:
    """Ingress always, egress where there is a rule for it."""
    assert expected == tuple(policy_types(policy(**spec)))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, True),
        ({"from": []}, True),
        ({"from": None, "ports": None}, True),
        ({"from": [WEB]}, True),
        ({"from": [PAY]}, False),
        ({"from": [{"podSelector": {}}]}, False),
        ({"from": [PAY, WEB]}, True),
        ({"from": [{**WEB, "podSelector": {"matchLabels": {"app": "shop"}}}]}, True),
        ({"from": [{**WEB, "podSelector": {"matchLabels": {"app": "cart"}}}]}, False),
        ({"from": [{"ipBlock": {"cidr": "10.244.0.0/16"}}]}, True),
        ({"from": [{"ipBlock": {"cidr": "10.244.0.5/32"}}]}, True),
        ({"from": [{"ipBlock": {"cidr": "010.244.000.0/16"}}]}, True),
        ({"from": [{"ipBlock": {"cidr": "010.245.0.0/16", "except": ["010.245.1.0/24"]}}]}, False),
        ({"from": [{"ipBlock": {"cidr": "10.244.0.0/16", "except": ["10.244.0.0/24"]}}]}, False),
        ({"from": [{"ipBlock": {"cidr": "10.244.0.0/16", "except": ["10.244.9.0/24"]}}]}, True),
        ({"from": [{"ipBlock": {"cidr": "fd00::/8"}}]}, False),
        ({"ports": [{"port": 8080}]}, True),
        ({"ports": [{"port": 8081}]}, False),
        ({"ports": [{"port": "http"}]}, True),
        ({"ports": [{"port": "https"}]}, False),
        ({"ports": [{"port": "http", "protocol": "UDP"}]}, False),
        ({"ports": [{"port": 8000, "endPort": 8100}]}, True),
        ({"ports": [{"port": 8081, "endPort": 8100}]}, False),
        ({"ports": [{"protocol": "UDP"}]}, False),
        ({"ports": [{"protocol": "TCP"}]}, True),
        ({"ports": [{"port": 8080}], "from": [PAY]}, False),
    ],
)
def test_what_a_rule_lets_in(rule: dict[str, Any], expected: bool) -> None:
    """Peers and ports as Kubernetes reads them; both must fit."""
    assert expected is admits([ingress(rule)], SHOP, API, 8080)


def test_a_named_port_is_that_of_the_pod_that_is_reached() -> None:
    """Another pod may give that name to another number, or to none."""
    assert admits([ingress({"ports": [{"port": "http"}]})], SHOP, LEDGER, 8080) is False
    assert admits([ingress({"ports": [{"port": "http"}]})], SHOP, API, 8080, "UDP") is False
    assert admits([egress({"ports": [{"port": "http"}]})], SHOP, API, 8080) is True
    assert admits([egress({"ports": [{"port": "http"}]})], SHOP, LEDGER, 8080) is False


TWO_OF_A_NAME: dict[str, Any] = {
    "spec": {
        "containers": [
            {
                "name": "api",
                "ports": [{"name": "http", "containerPort": 8080}, {"name": "http", "containerPort": 8081}],
            },
            {"name": "admin", "ports": [{"name": "http", "containerPort": 9090}, {"containerPort": 7070}]},
            {"name": "dns", "ports": [{"name": "http", "containerPort": 5353, "protocol": "UDP"}]},
        ],
        "initContainers": [
            {"name": "mesh", "restartPolicy": "Always", "ports": [{"name": "http", "containerPort": 15001}]},
            {"name": "set-up", "ports": [{"name": "http", "containerPort": 1}]},
        ],
    }
}


@pytest.mark.parametrize("turned", [False, True])
def test_one_name_lets_in_each_port_of_the_pod_that_has_it(turned: bool) -> None:
    """Of each container and each sidecar, whatever their order; not of an init container that ends, nor of another protocol."""
    spec = {key: each[::-1] if turned else each for key, each in TWO_OF_A_NAME["spec"].items()}
    many = End("10.244.1.6", "two", API.pod, named_ports({"spec": spec}))
    tcp, udp = {"port": "http"}, {"port": "http", "protocol": "UDP"}
    for rules in (ingress, egress):
        for number, expected in ((8080, True), (8081, True), (9090, True), (15001, True), (7070, False), (1, False)):
            assert expected is admits([rules({"ports": [tcp]})], SHOP, many, number)
        assert admits([rules({"ports": [tcp]})], SHOP, many, 5353, "UDP") is False
        assert admits([rules({"ports": [udp]})], SHOP, many, 5353, "UDP") is True
        assert admits([rules({"ports": [udp]})], SHOP, many, 8080) is False


@pytest.mark.parametrize("protocol", ["UDP", "SCTP"])
def test_protocols_are_told_apart(protocol: str) -> None:
    """A rule for TCP, which is what no protocol means, says nothing of the others."""
    assert admits([ingress({"ports": [{"port": 53}]})], SHOP, API, 53, protocol) is False
    assert admits([ingress({"ports": [{"port": 53, "protocol": protocol}]})], SHOP, API, 53, protocol) is True


def test_a_node_always_reaches_the_pods_that_it_runs() -> None:
    """And no others, where policies forbid it."""
    assert admits([ingress()], NODE_TWO, API, 8080) is True
    assert admits([ingress()], NODE_ONE, API, 8080) is False
    assert admits([ingress({"from": [{"ipBlock": {"cidr": "172.18.0.0/16"}}]})], NODE_ONE, API, 8080) is True
    assert admits([ingress({"from": [{"namespaceSelector": {}}]})], NODE_ONE, API, 8080) is False


@pytest.mark.parametrize(
    ("policies", "source", "target", "expected"),
    [
        ([], PROXY, API, True),
        ([], SHOP, PROXY, True),
        ([ingress()], PROXY, API, False),
        ([ingress({"from": [WEB]})], PROXY, API, None),
        ([ingress({"from": [{**WEB, "podSelector": {"matchLabels": {"app": "shop"}}}]})], PROXY, API, False),
        ([ingress({"from": [{"ipBlock": {"cidr": "172.18.0.0/16"}}]})], PROXY, API, True),
        ([ingress({})], PROXY, API, True),
        ([ingress()], PROXY, replace(API, node="one"), None),
        ([policy("web", policyTypes=["Egress"])], PROXY, API, None),
        ([policy("web", policyTypes=["Egress"], egress=[{"to": [PAY]}])], PROXY, API, True),
        ([policy("web", policyTypes=["Egress"], egress=[{"to": [WEB]}])], PROXY, API, None),
        ([policy("web", policyTypes=["Ingress"])], API, PROXY, None),
        ([policy("web", policyTypes=["Ingress"], ingress=[{}])], API, PROXY, True),
        ([policy("web", policyTypes=["Ingress"])], PROXY, API, True),
        ([policy(policyTypes=["Egress"], egress=[{"to": [WEB]}])], API, PROXY, None),
        ([policy(policyTypes=["Egress"])], API, PROXY, False),
        ([policy(policyTypes=["Egress"], egress=[{"ports": [{"port": "http"}]}])], API, PROXY, None),
        ([policy(policyTypes=["Egress"], egress=[{"ports": [{"port": "dns"}]}])], API, PROXY, False),
        ([policy(policyTypes=["Egress"], egress=[{"ports": [{"port": 8080}]}])], API, PROXY, True),
    ],
)
def test_of_pods_in_their_nodes_network_is_unknown_what_kubernetes_leaves_open(
    policies: list[dict[str, Any]], source: End, target: End, expected: bool | None
) -> None:
    """Whether selectors and names of ports are about them, and whether they reach their node's pods as it does.

    What all networks give is known: rules for addresses, numbers and everybody, and where no policy holds.
    """
    assert expected is admits(policies, source, target, 8080)


def test_two_networks_may_differ_in_more_than_one_thing() -> None:
    """A rule by selectors and a port by name are each open: neither decides."""
    leaves = policy(policyTypes=["Egress"], egress=[{"to": [WEB], "ports": [{"port": "http"}]}])
    assert admits([leaves], API, PROXY, 8080) is None
    assert admits([leaves], API, PROXY, 8081) is False
    assert [True, True] == isolated([policy("web", policyTypes=["Ingress", "Egress"])], PROXY)


def test_what_leaves_for_a_node() -> None:
    """Nodes are addresses; what a pod sends to its own one Kubernetes leaves open, unless policies let it through."""
    assert admits([egress()], SHOP, NODE_TWO, 10250) is False
    assert admits([egress()], SHOP, NODE_ONE, 10250) is None
    assert admits([egress({})], SHOP, NODE_ONE, 10250) is True
    assert admits([egress({"to": [{"ipBlock": {"cidr": "172.18.0.3/32"}}]})], SHOP, NODE_TWO, 10250) is True
    assert admits([egress({"to": [{"namespaceSelector": {}}]})], SHOP, NODE_TWO, 10250) is False
    assert admits([], SHOP, NODE_ONE, 10250) is True


def test_no_policy_holds_for_nodes_and_the_outside() -> None:
    """They have no labels; addresses let the outside in."""
    assert admits([ingress(), egress()], NODE_ONE, NODE_TWO, 10250) is True
    assert admits([ingress()], OUTSIDE, API, 8080) is False
    assert admits([ingress({})], OUTSIDE, API, 8080) is True
    assert admits([ingress({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})], OUTSIDE, API, 8080) is True
    assert admits([ingress({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})], End(""), API, 8080) is False


def test_a_pod_always_reaches_itself() -> None:
    """What it sends to itself leaves no network."""
    assert admits([ingress(), policy(policyTypes=["Egress"])], API, API, 8080) is True


# Laws

PODS = [
    pod(namespace, app, f"10.244.{number}.{index + 2}", f"node{(number + index) % 2}", http=8080)
    for number, namespace in enumerate(("a", "b"))
    for index, app in enumerate(("x", "y", "z"))
]
PORTS = ((8080, "TCP"), (53, "UDP"))


def _some(chance: random.Random) -> dict[str, Any]:
    """A random peer."""
    labels = {"matchLabels": {"app": chance.choice("xyz")}}
    space = {"matchLabels": {"team": chance.choice("ab")}}
    return chance.choice([
        {"podSelector": labels}, {"podSelector": {}}, {"namespaceSelector": space}, {"namespaceSelector": {}},
        {"namespaceSelector": space, "podSelector": labels},
        {"ipBlock": {"cidr": f"10.244.{chance.choice('01')}.0/24", "except": [f"10.244.1.{chance.randint(2, 4)}/32"]}},
    ])  # fmt: skip


def _rule(chance: random.Random, peers: str) -> dict[str, Any]:
    ports = chance.choice(
        [None, [{"port": 8080}], [{"port": "http"}], [{"protocol": "UDP", "port": 50, "endPort": 60}]]
    )
    rule: dict[str, Any] = {peers: [_some(chance) for _ in range(chance.randint(0, 2))]}
    return rule if ports is None else {**rule, "ports": ports}


def _random(chance: random.Random) -> dict[str, Any]:
    types = chance.choice([["Ingress"], ["Egress"], ["Ingress", "Egress"]])
    return policy(
        chance.choice("ab"), chance.choice(["", "x", "y"]), policyTypes=types,
        ingress=[_rule(chance, "from") for _ in range(chance.randint(0, 2))],
        egress=[_rule(chance, "to") for _ in range(chance.randint(0, 2))],
    )  # fmt: skip


def _all(policies: list[dict[str, Any]]) -> dict[tuple[str, str, int, str], bool | None]:
    reached = [(target, port, protocol) for target in PODS for port, protocol in PORTS]
    table = PolicyTable(policies, PODS, reached)
    return {
        (source.address, target.address, port, protocol): ANSWERS[answer]
        for number, source in enumerate(PODS)
        for (target, port, protocol), answer in zip(reached, table.row(number), strict=True)
    }


@pytest.mark.parametrize("seed", range(40))
def test_laws_hold_for_any_policies(seed: int) -> None:
    """A rule more never closes; order says nothing; allow-all opens everything; deny-all closes all but oneself."""
    chance = random.Random(seed)
    policies = [_random(chance) for _ in range(chance.randint(1, 5))]
    now = _all(policies)
    assert all(now[one.address, one.address, port, protocol] for one in PODS for port, protocol in PORTS)
    assert now == _all(policies[::-1])
    wider = copy.deepcopy(policies)
    chance.choice(wider)["spec"]["ingress"].append(_rule(chance, "from"))
    chance.choice(wider)["spec"]["egress"].append(_rule(chance, "to"))
    after = _all(wider)
    assert not [key for key in now if now[key] and not after[key]]
    everything = [policy(name, policyTypes=["Ingress", "Egress"], ingress=[{}], egress=[{}]) for name in "ab"]
    assert all(_all([*policies, *everything]).values())
    nothing = _all([policy(name, policyTypes=["Ingress", "Egress"]) for name in "ab"])
    assert {(one.address, one.address) for one in PODS} == {(key[0], key[1]) for key, let in nothing.items() if let}
    assert not [key for key in now if nothing[key] and not now[key]]
