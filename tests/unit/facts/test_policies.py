"""Whom NetworkPolicies let in: selectors, peers and ports as Kubernetes reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from pytest_k8ssec.facts.policies import End, Peer, egress_port_names, egress_ports, lets_in, selects

API = {"app": "api", "tier": "back"}
MONEYS = {"kubernetes.io/metadata.name": "payments", "team": "money"}
LEDGER = End("10.244.0.9", "worker", Peer("payments", MONEYS, {"app": "ledger"}), frozenset({("ledger", "TCP", 9000)}))
FROM_PAYMENTS = Peer("payments", MONEYS, API)
FROM_WEB = Peer("web", {"kubernetes.io/metadata.name": "web", "team": "shop"}, API)

BACK = {"podSelector": {"matchLabels": {"tier": "back"}}}
FRONT = {"podSelector": {"matchLabels": {"tier": "front"}}}
SHOP = {"namespaceSelector": {"matchLabels": {"team": "shop"}}}
MONEY = {"namespaceSelector": {"matchLabels": {"team": "money"}}}
EVERYBODY: dict[str, Any] = {"namespaceSelector": {}}


def policy(*rules: Mapping[str, Any], selector: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A policy of the ledger's namespace; without a selector it is for all pods."""
    return {
        "metadata": {"name": "p", "namespace": "payments"},
        "spec": {"podSelector": selector or {}, "policyTypes": ["Ingress"], "ingress": list(rules)},
    }


def expression(operator: str, *values: str, key: str = "app") -> dict[str, Any]:
    """A selector of one requirement."""
    return {"matchExpressions": [{"key": key, "operator": operator, **({"values": list(values)} if values else {})}]}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {}}, True),
        ({"matchLabels": None, "matchExpressions": None}, True),
        ({"matchLabels": {"app": "api"}}, True),
        ({"matchLabels": {"app": "api", "tier": "back"}}, True),
        ({"matchLabels": {"app": "api", "tier": "front"}}, False),
        ({"matchLabels": {"app": "API"}}, False),
        ({"matchLabels": {"zone": "a"}}, False),
        (expression("In", "web", "api"), True),
        (expression("In", "web"), False),
        (expression("In", "a", key="zone"), False),
        (expression("NotIn", "web"), True),
        (expression("NotIn", "api"), False),
        (expression("NotIn", "a", key="zone"), True),
        (expression("Exists"), True),
        (expression("Exists", key="zone"), False),
        (expression("DoesNotExist"), False),
        (expression("DoesNotExist", key="zone"), True),
        (expression("Gt", "1"), False),
        ({"matchLabels": {"app": "api"}, **expression("Exists", key="zone")}, False),
        ({"matchLabels": {"app": "web"}, **expression("Exists")}, False),
        ({"matchExpressions": expression("Exists")["matchExpressions"] + expression("In", "x")["matchExpressions"]}, False),
    ],
)  # fmt: skip
def test_a_selector_selects_labels(selector: Mapping[str, Any] | None, expected: bool) -> None:
    """All requirements must be met; an empty selector has none, and a missing one selects nothing."""
    assert expected is selects(selector, API)


@pytest.mark.parametrize(
    ("peer", "payments", "web"),
    [
        ({"podSelector": {}}, True, False),
        (BACK, True, False),
        (FRONT, False, False),
        (EVERYBODY, True, True),
        (SHOP, False, True),
        (MONEY, True, False),
        ({**SHOP, **BACK}, False, True),
        ({**SHOP, **FRONT}, False, False),
        ({**EVERYBODY, **BACK}, True, True),
        ({**EVERYBODY, "podSelector": {}}, True, True),
        ({"namespaceSelector": expression("In", "web", key="kubernetes.io/metadata.name")}, False, True),
        ({"ipBlock": {"cidr": "0.0.0.0/0"}}, False, False),
    ],
    ids=[
        "all-pods-here", "pods-here", "other-pods-here", "all-namespaces", "namespace", "own-namespace",
        "namespace-and-pods", "namespace-and-other-pods", "pods-everywhere", "all-pods-everywhere",
        "namespace-by-expression", "addresses",
    ],
)  # fmt: skip
def test_a_peer_names_pods_here_or_in_namespaces(peer: Mapping[str, Any], payments: bool, web: bool) -> None:
    """Both selectors in one peer must be met; without a namespace selector only the policy's own namespace counts.

    Of an address block it can't be told whose it is, so it names nobody.
    """
    policies = [policy({"from": [peer]})]
    assert (payments, web) == (
        lets_in(policies, LEDGER, 9000, FROM_PAYMENTS),
        lets_in(policies, LEDGER, 9000, FROM_WEB),
    )


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"policyTypes": ["Egress"]}, False),
        ({"policyTypes": ["Ingress"]}, True),
        ({"policyTypes": ["Ingress", "Egress"]}, True),
        ({"egress": [{}]}, True),
        ({}, True),
    ],
)
def test_rules_of_a_policy_that_is_not_for_ingress_let_nobody_in(spec: dict[str, Any], expected: bool) -> None:
    """Kubernetes ignores them; a policy that names no direction is for ingress."""
    one = {"metadata": {"namespace": "payments"}, "spec": {"podSelector": {}, "ingress": [{"from": [MONEY]}], **spec}}
    assert expected is lets_in([one], LEDGER, 9000, FROM_PAYMENTS)


def test_two_peers_are_either_and_one_peer_is_both() -> None:
    """One dash more makes another policy: the classic mistake."""
    assert lets_in([policy({"from": [SHOP, FRONT]})], LEDGER, 9000, FROM_WEB)
    assert not lets_in([policy({"from": [{**SHOP, **FRONT}]})], LEDGER, 9000, FROM_WEB)


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        (None, True),
        ([], True),
        ([{"port": 9000}], True),
        ([{"port": 9000, "protocol": "TCP"}], True),
        ([{"port": 9001}], False),
        ([{"port": 9001}, {"port": 9000}], True),
        ([{"port": 9000, "protocol": "UDP"}], False),
        ([{"port": 9000, "protocol": "SCTP"}], False),
        ([{"protocol": "TCP"}], True),
        ([{"protocol": "UDP"}], False),
        ([{"port": 9001, "endPort": 9100}], False),
        ([{"port": 9000, "endPort": 9100}], True),
        ([{"port": 8000, "endPort": 9000}], True),
        ([{"port": 8000, "endPort": 8999}], False),
        ([{"port": "ledger"}], True),
        ([{"port": "ledger", "protocol": "UDP"}], False),
        ([{"port": "metrics"}], False),
    ],
)
def test_a_rule_covers_ports(ports: list[dict[str, Any]] | None, expected: bool) -> None:
    """No port is every port; the protocol is TCP unless said, and a name is what the target's containers give it."""
    rule: dict[str, Any] = {"from": [BACK]} if ports is None else {"from": [BACK], "ports": ports}
    assert expected is lets_in([policy(rule)], LEDGER, 9000, FROM_PAYMENTS)


def test_one_name_stands_for_each_port_that_has_it() -> None:
    """Two containers of a pod may use one name for two numbers: who is let in to one is let in to both."""
    two = replace(LEDGER, named=LEDGER.named | {("ledger", "TCP", 9001), ("ledger", "UDP", 9002)})
    policies = [policy({"from": [BACK], "ports": [{"port": "ledger"}]})]
    assert [True, True, False] == [lets_in(policies, two, port, FROM_PAYMENTS) for port in (9000, 9001, 9002)]


@pytest.mark.parametrize(
    "rules",
    [
        (),
        ({},),
        ({"from": []},),
        ({"ports": [{"port": 9000}]},),
        ({"from": [FRONT]}, {"from": [BACK], "ports": [{"port": 1}]}),
    ],
    ids=["none", "everybody", "empty-from", "port-only", "port-of-one-peer-of-another"],
)
def test_who_is_not_named_has_no_labels_worth_wearing(rules: tuple[Mapping[str, Any], ...]) -> None:
    """Where nobody is let in, and where everybody is, no labels help an attacker; parts of two rules make no third."""
    assert not lets_in([policy(*rules)], LEDGER, 9000, FROM_PAYMENTS)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [(None, True), ({"matchLabels": {"app": "ledger"}}, True), ({"matchLabels": {"app": "api"}}, False)],
)
def test_a_policy_is_for_the_pods_that_it_selects(selector: Mapping[str, Any] | None, expected: bool) -> None:
    """An empty selector is for all pods of the namespace; that of another pod lets nobody into this one."""
    assert expected is lets_in([policy({"from": [BACK]}, selector=selector)], LEDGER, 9000, FROM_PAYMENTS)


def test_policies_add_up() -> None:
    """One that lets in is enough, wherever it stands; none takes back what another gives."""
    nobody, somebody = policy(), policy({"from": [FRONT]}, {"from": [BACK]})
    for policies in ([nobody, somebody], [somebody, nobody]):
        assert lets_in(policies, LEDGER, 9000, FROM_PAYMENTS)
    assert not lets_in([], LEDGER, 9000, FROM_PAYMENTS)


def test_a_policy_for_egress_lets_nobody_in() -> None:
    """It has no ingress rules at all, or none that are set."""
    specs: list[dict[str, Any]] = [{"egress": [{}]}, {"ingress": None}, {"podSelector": None, "ingress": None}]
    for spec in specs:
        assert not lets_in([{"metadata": {"namespace": "payments"}, "spec": spec}], LEDGER, 9000, FROM_PAYMENTS)


def test_a_rule_for_datagrams_lets_in_no_connections() -> None:
    """Nor the other way round; one without ports lets in both."""
    for protocol in ("TCP", "UDP"):
        rule = {"from": [MONEY], "ports": [{"port": 9000, "protocol": protocol}]}
        for asked in ("TCP", "UDP"):
            assert (asked == protocol) is lets_in([policy(rule)], LEDGER, 9000, FROM_PAYMENTS, asked)
            assert lets_in([policy({"from": [MONEY]})], LEDGER, 9000, FROM_PAYMENTS, asked)


def test_the_ports_that_egress_rules_name_are_known() -> None:
    """Each once, whatever the peers; of a range both ends, and names are numbers only at what is reached."""
    https = {
        "to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}],
        "ports": [{"port": 443}, {"port": "http"}, {"protocol": "UDP"}],
    }
    more = {"ports": [{"port": 8000, "endPort": 8100}, {"port": 53, "protocol": "UDP"}, {"port": 443}]}
    specs: list[dict[str, Any]] = [{"egress": [https, {}]}, {"egress": [more]}, {"ingress": [more]}, {}]
    policies = [{"spec": each} for each in specs]
    assert [(53, "UDP"), (443, "TCP"), (8000, "TCP"), (8100, "TCP")] == egress_ports(policies)
    assert [("http", "TCP")] == egress_port_names(policies)
