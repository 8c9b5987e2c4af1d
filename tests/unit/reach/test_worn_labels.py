"""Whose labels are worn where all would be too many: one set of each class, and the class that matters is always among them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pytest_k8ssec.facts.admin_policies import AdminPolicy
from pytest_k8ssec.facts.policy_kinds import OtherPolicies
from pytest_k8ssec.reach.sampling import Sampling
from pytest_k8ssec.reach.worn_labels import ATTEMPTS_MAX, WORN_BY_CHANCE, worn

HOME = ("attacker", {"kubernetes.io/metadata.name": "attacker"})
CLIENTS = {f"Deployment s{number}/w": {"app": f"w{number}"} for number in range(60)}


def lets_in_client(number: int, **space: Any) -> dict[str, Any]:
    """The policy of a namespace, for its client; unless a namespace is named, of the policy's own."""
    peer = {"podSelector": {"matchLabels": {"app": f"w{number}"}}, **space}
    return {
        "metadata": {"name": "server", "namespace": f"s{number}"},
        "spec": {"podSelector": {}, "ingress": [{"from": [peer]}]},
    }


POLICIES = [lets_in_client(number) for number in range(60)]


def test_where_no_policy_names_the_attackers_a_dozen_and_one_are_worn() -> None:
    """And it is said how many are not, and by which seed they were chosen."""
    wear, words = worn(CLIENTS, 60, POLICIES, HOME, Sampling(seed=3))
    assert WORN_BY_CHANCE + 1 == len(wear)
    assert "13 of 60 sets of labels of allowed clients were worn: one of each of 1 classes" in words
    assert "(seed 3)" in words
    assert wear.items() <= CLIENTS.items()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "space", [{}, {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]}]
)
def test_a_policy_that_forgets_the_namespace_has_its_clients_labels_worn(seed: int, space: dict[str, Any]) -> None:
    """Whatever chance decides."""
    policies = [*POLICIES[:41], lets_in_client(41, namespaceSelector=space), *POLICIES[42:]]
    wear, words = worn(CLIENTS, 60, policies, HOME, Sampling(seed=seed))
    assert {"app": "w41"} in wear.values()
    assert "one of each of 2 classes" in words


def test_of_a_few_all_are_worn_each_once() -> None:
    """By two workloads of the same labels too."""
    few = dict([*CLIENTS.items()][: ATTEMPTS_MAX // 60])
    assert (few, "") == worn({**few, "Deployment other/w": {"app": "w0"}}, 60, POLICIES, HOME, Sampling())


def test_who_wants_all_to_be_tried_has_it() -> None:
    """By the setting that has all pods measured."""
    assert (CLIENTS, "") == worn(CLIENTS, 60, POLICIES, HOME, Sampling(math.inf))


def test_where_policies_are_in_force_that_are_not_read_all_are_worn() -> None:
    """Nobody knows which labels they tell apart. Those for the whole cluster make classes, as NetworkPolicies do."""
    assert (CLIENTS, "") == worn(CLIENTS, 60, POLICIES, HOME, Sampling(seed=3), OtherPolicies(strange=("Cilium's",)))
    subject: dict[str, Any] = {"namespaces": {}}
    names_one = {"pods": {"podSelector": {"matchLabels": {"app": "w41"}}}}
    spec = {"priority": 1, "subject": subject, "ingress": [{"action": "Pass", "from": [names_one]}]}
    passes = AdminPolicy("AdminNetworkPolicy", {"metadata": {"name": "a"}, "spec": spec})
    for seed in range(8):
        wear, words = worn(CLIENTS, 60, POLICIES, HOME, Sampling(seed=seed), OtherPolicies((passes,)))
        assert {"app": "w41"} in wear.values()
        assert "one of each of 2 classes" in words
