"""Which pods are one class: alike in all that the policies ask, and so in every answer."""

from __future__ import annotations

import random
from typing import Any

import pytest

from bench.engine.classes import policy_classes
from pytest_k8ssec.facts.policies import End, Peer
from tests.unit.facts import policy_scenes, policy_semantics


def pod(number: int, namespace: str = "a", node: str = "one", named: int = 0, **labels: str) -> End:
    """A pod with an address of its own."""
    peer = Peer(namespace, {"team": namespace, "made-by": f"hand-{namespace}"}, labels)
    return End(f"10.0.0.{number}", node, peer, frozenset({("http", "TCP", named)} if named else ()))


def policy(*rules: dict[str, Any], selector: dict[str, Any] | None = None, way: str = "ingress") -> dict[str, Any]:
    """A policy of namespace a."""
    return {"metadata": {"namespace": "a"}, "spec": {"podSelector": selector or {}, way: list(rules)}}


def alike(policies: list[dict[str, Any]], one: End, other: End, *more: End) -> bool:
    """Whether two of some ends are one class."""
    first, second, *_ = policy_classes(policies, [one, other, *more])
    return first == second


WEB = {"matchLabels": {"app": "web"}}


def test_labels_that_no_selector_mentions_make_no_class() -> None:
    """Of pods and of namespaces; a StatefulSet's pods are alike."""
    policies = [policy({"from": [{"podSelector": WEB}]})]
    assert alike(policies, pod(1, app="web", index="0"), pod(2, app="web", index="1"))
    assert alike(policies, pod(1, app="db"), pod(2, app="cache"))
    assert not alike(policies, pod(1, app="db"), pod(2, app="web"))
    assert alike(policies, pod(1, "b", app="web"), pod(2, "c", app="web"))
    assert not alike(policies, pod(1, "a", app="web"), pod(2, "b", app="web"))


@pytest.mark.parametrize(
    "policies",
    [
        [policy(selector=WEB)],
        [policy({"from": [{"podSelector": WEB}]})],
        [policy({"to": [{"podSelector": WEB}]}, way="egress")],
        [policy({"to": [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}]}, way="egress")],
        [policy({"from": [{"ipBlock": {"cidr": "10.0.0.1/32"}}]})],
        [policy({"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.1/32"]}}]})],
    ],
)
def test_what_some_selector_or_block_tells_apart_is_two(policies: list[dict[str, Any]]) -> None:
    """Of a policy, of either direction's peers, or an address."""
    assert alike([], pod(1, app="web"), pod(2))
    assert not alike(policies, pod(1, app="web"), pod(2))


def test_the_name_of_a_port_counts_where_a_policy_mentions_it() -> None:
    """Its number, and whether the pod has it."""
    policies = [policy({"ports": [{"port": "http"}]})]
    assert alike(policies, pod(1, named=80), pod(2, named=80))
    assert not alike(policies, pod(1, named=80), pod(2, named=81))
    assert not alike(policies, pod(1, named=80), pod(2))
    assert alike([policy({"ports": [{"port": "http", "protocol": "UDP"}]})], pod(1, named=80), pod(2, named=81))


def test_a_pod_in_its_nodes_network_is_none_that_policies_select() -> None:
    """And beside a node, the pods of that node are others than those elsewhere."""
    assert not alike([], pod(1), End("172.18.0.2", "one"))
    assert alike([], pod(1), pod(2, node="two"))
    assert not alike([], pod(1), pod(2, node="two"), End("172.18.0.2", "one"))


@pytest.mark.parametrize("seed", range(30))
def test_what_is_one_class_has_the_same_answers(seed: int) -> None:
    """From and to every third end, at any port: the specification never tells two of one class apart."""
    chance = random.Random(seed)
    ends = policy_scenes.ends(chance, 20)
    policies = policy_scenes.policies(chance, chance.randint(1, 4))
    first: dict[int, End] = {}
    for number, end in zip(policy_classes(policies, ends), ends, strict=True):
        like = first.setdefault(number, end)
        for third in ends:
            if third.address in {end.address, like.address}:
                continue  # what reaches itself is no class's affair
            for port, protocol in ((80, "TCP"), (53, "UDP"), (8080, "SCTP")):
                for one, other in (((end, third), (like, third)), ((third, end), (third, like))):
                    assert policy_semantics.admits(policies, *one, port, protocol) is policy_semantics.admits(
                        policies, *other, port, protocol
                    )
