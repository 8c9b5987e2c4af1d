"""Policies for the whole cluster: each clause of their definition by hand, and which policy is said to decide."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_k8ssec.facts.admin_policies import AdminPolicy, edges_of, unread
from pytest_k8ssec.facts.policies import End, Peer
from pytest_k8ssec.facts.policy_table import PolicyTable
from tests.unit.facts import policy_semantics

NODES = {"one": {"role": "control-plane"}, "two": {"role": "worker"}}
NAMED = frozenset({("http", "TCP", 8080), ("dns", "UDP", 53)})


def pod(namespace: str, app: str, address: str, node: str = "one") -> End:
    """A pod with one label."""
    return End(address, node, Peer(namespace, {"team": namespace}, {"app": app}), NAMED)


SHOP, API = pod("web", "shop", "10.244.0.5"), pod("pay", "api", "10.244.1.6", "two")
NODE_ONE, NODE_TWO = End("172.18.0.2", "one"), End("172.18.0.3", "two")
PROXY = End.of("172.18.0.3", "two", Peer("web", {"team": "web"}, {"app": "proxy"}), hosted=True)
OUTSIDE = End("203.0.113.9")
WEB, PAY, ALL = (
    {"namespaces": each} for each in ({"matchLabels": {"team": "web"}}, {"matchLabels": {"team": "pay"}}, {})
)
A_SHOP = {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "shop"}}}}


def rule(action: str, *peers: dict[str, Any], way: str = "from", **more: Any) -> dict[str, Any]:
    """One rule."""
    return {"action": action, way: list(peers), **more}


def anp(
    *rules: dict[str, Any], priority: int = 10, name: str = "a", subject: dict[str, Any] = PAY, **spec: Any
) -> dict[str, Any]:
    """An AdminNetworkPolicy; rules are of ingress unless they have peers to go to."""
    ingress, egress = ([each for each in rules if way in each] for way in ("from", "to"))
    made = {"subject": subject, "priority": priority, "ingress": ingress, "egress": egress, **spec}
    return {"kind": "AdminNetworkPolicy", "metadata": {"name": name}, "spec": made}


def banp(*rules: dict[str, Any], subject: dict[str, Any] = PAY) -> dict[str, Any]:
    """The BaselineAdminNetworkPolicy."""
    made = anp(*rules, name="default", subject=subject)
    del made["spec"]["priority"]
    return {**made, "kind": "BaselineAdminNetworkPolicy"}


def cnp(tier: str, *rules: dict[str, Any], priority: int = 10, subject: dict[str, Any] = PAY) -> dict[str, Any]:
    """A ClusterNetworkPolicy."""
    return {**anp(*rules, name="c", priority=priority, subject=subject, tier=tier), "kind": "ClusterNetworkPolicy"}


DENY_IN: dict[str, Any] = {"metadata": {"name": "deny", "namespace": "pay"}, "spec": {"podSelector": {}}}
ALLOW_IN: dict[str, Any] = {
    "metadata": {"name": "allow", "namespace": "pay"},
    "spec": {"podSelector": {}, "ingress": [{}]},
}


def table(
    admin: list[dict[str, Any]], policies: list[dict[str, Any]], source: End, target: End, port: int, protocol: str
) -> PolicyTable:
    """What is computed for one connection."""
    read = [AdminPolicy(each["kind"], each) for each in admin]
    assert not any(map(unread, read))
    return PolicyTable(policies, [source], [(target, port, protocol)], read, NODES)


def admits(
    admin: list[dict[str, Any]],
    source: End = SHOP,
    target: End = API,
    port: int = 8080,
    protocol: str = "TCP",
    policies: Any = (),
) -> bool | None:
    """One question to the table; the specification answers it alike."""
    answer = table(admin, policies, source, target, port, protocol).answer(0, 0)
    assert answer is policy_semantics.admits(policies, source, target, port, protocol, admin, NODES)
    return answer


def test_the_admin_tier_decides_before_networkpolicies() -> None:
    """What it accepts they can't close, what it denies they can't open; what it passes, or is not about, is theirs."""
    allow, deny, passes = (anp(rule(action, WEB)) for action in ("Allow", "Deny", "Pass"))
    assert admits([allow], policies=[DENY_IN]) is True
    assert admits([deny], policies=[ALLOW_IN]) is False
    assert admits([deny]) is False
    assert [False, True] == [admits([passes], policies=[each]) for each in (DENY_IN, ALLOW_IN)]
    assert [False, True] == [admits([anp(rule("Deny", PAY))], policies=[each]) for each in (DENY_IN, ALLOW_IN)]
    assert admits([cnp("Admin", rule("Accept", WEB))], policies=[DENY_IN]) is True


def test_the_baseline_decides_where_no_networkpolicy_holds() -> None:
    """A pod that some NetworkPolicy selects is theirs alone; without either, everything is let through."""
    for baseline in (banp(rule("Deny", WEB)), cnp("Baseline", rule("Deny", WEB))):
        assert admits([baseline]) is False
        assert admits([baseline], policies=[ALLOW_IN]) is True
        assert admits([baseline], SHOP, SHOP) is True
        assert admits([baseline, anp(rule("Pass", WEB))]) is False
        assert admits([baseline, anp(rule("Allow", WEB))]) is True
    assert admits([banp(rule("Allow", WEB), rule("Deny", ALL))]) is True
    assert admits([cnp("Baseline", rule("Pass", WEB), rule("Deny", ALL))]) is True
    assert admits([banp(rule("Allow", WEB))], policies=[DENY_IN]) is False


def test_the_first_rule_and_the_lowest_priority_win() -> None:
    """In a policy by the order of the rules, among policies by priority."""
    assert admits([anp(rule("Allow", WEB), rule("Deny", ALL))]) is True
    assert admits([anp(rule("Deny", ALL), rule("Allow", WEB))]) is False
    assert admits([anp(rule("Deny", WEB), priority=2), anp(rule("Allow", WEB), priority=1, name="b")]) is True
    assert admits([anp(rule("Deny", WEB), priority=0), cnp("Admin", rule("Accept", WEB), priority=1)]) is False


def test_passing_on_ends_the_tier_and_not_the_evaluation() -> None:
    """Rules of lower precedence in the tier no longer count."""
    assert admits([anp(rule("Pass", WEB), rule("Deny", WEB))]) is True
    assert admits([anp(rule("Pass", WEB)), anp(rule("Deny", WEB), priority=20, name="b")]) is True
    assert admits([anp(rule("Pass", WEB)), banp(rule("Deny", WEB))]) is False


def test_what_two_of_one_priority_give_is_known_only_where_they_agree() -> None:
    """Any of them may come first."""
    allow, deny, other = anp(rule("Allow", WEB)), anp(rule("Deny", WEB), name="b"), anp(rule("Deny", PAY), name="b")
    assert admits([allow, deny]) is None
    assert admits([allow, other]) is True
    assert admits([allow, anp(rule("Pass", WEB), name="b")]) is True
    assert admits([allow, anp(rule("Pass", WEB), name="b")], policies=[DENY_IN]) is None
    assert admits([allow, deny, anp(rule("Deny", WEB), priority=1, name="first")]) is False


def test_both_directions_must_let_it_through() -> None:
    """Accepted on its way out, it may still be denied on its way in."""
    out = anp(rule("Allow", ALL, way="to"), subject=WEB)
    assert admits([out, anp(rule("Deny", WEB), name="b")]) is False
    assert admits([anp(rule("Deny", PAY, way="to"), subject=WEB)]) is False
    assert admits([anp(rule("Deny", PAY, way="to"), subject=A_SHOP)]) is False
    assert admits([anp(rule("Deny", PAY, way="to"), subject=PAY)]) is True


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ({}, False),
        ({"ports": [{"portNumber": {"protocol": "TCP", "port": 8080}}]}, False),
        ({"ports": [{"portNumber": {"port": 8080}}]}, False),
        ({"ports": [{"portNumber": {"protocol": "UDP", "port": 8080}}]}, True),
        ({"ports": [{"portRange": {"protocol": "TCP", "start": 8000, "end": 8080}}]}, False),
        ({"ports": [{"portRange": {"start": 8081, "end": 9000}}]}, True),
        ({"ports": [{"namedPort": "http"}]}, False),
        ({"ports": [{"namedPort": "dns"}]}, True),
        ({"protocols": [{"tcp": {"destinationPort": {"number": 8080}}}]}, False),
        ({"protocols": [{"udp": {"destinationPort": {"number": 8080}}}]}, True),
        ({"protocols": [{"tcp": {"destinationPort": {"range": {"start": 1, "end": 8079}}}}]}, True),
        ({"protocols": [{"tcp": {"destinationPort": {"range": {"start": 1, "end": 8080}}}}]}, False),
        ({"protocols": [{"tcp": {}}]}, False),
        ({"protocols": [{"udp": {}}, {"sctp": {}}]}, True),
        ({"protocols": [{"destinationNamedPort": "http"}]}, False),
    ],
)
def test_ports_are_as_each_version_writes_them(ports: dict[str, Any], expected: bool) -> None:
    """A rule that denies: what it is not about is let through."""
    assert expected is admits([anp(rule("Deny", WEB, **ports))])


def test_a_name_of_a_port_is_of_whichever_protocol_the_pod_gives_it() -> None:
    """Unlike a NetworkPolicy's, which is of one."""
    named = anp(rule("Deny", WEB, ports=[{"namedPort": "dns"}]))
    assert [False, True] == [admits([named], port=53, protocol=each) for each in ("UDP", "TCP")]


def test_nodes_and_networks_are_peers_of_what_leaves() -> None:
    """By the labels of nodes and by addresses; pods in their nodes' network are none as pods, and the node as an address."""

    def out(*peers: dict[str, Any]) -> list[dict[str, Any]]:
        return [anp(rule("Deny", *peers, way="to"), subject=WEB)]

    workers = {"nodes": {"matchLabels": {"role": "worker"}}}
    assert [False, False, True, True] == [admits(out(workers), target=each) for each in (NODE_TWO, PROXY, API, OUTSIDE)]
    assert admits(out({"nodes": {}}), target=NODE_ONE) is None  # its own node
    net = {"networks": ["10.244.1.0/24", "203.0.113.0/24"]}
    assert [False, False, True] == [admits(out(net), target=each) for each in (API, OUTSIDE, NODE_TWO)]
    assert admits(out(WEB), target=PROXY) is True
    assert admits([anp(rule("Deny", ALL))], source=PROXY) is True
    assert admits([anp(rule("Deny", ALL), subject=ALL)], source=SHOP, target=PROXY) is True


def test_where_a_name_of_a_domain_leads_is_unknown() -> None:
    """It may open what a later rule denies; nothing else is left open."""
    names = anp(rule("Accept", {"domainNames": ["*.example.org"]}, way="to"), rule("Deny", ALL, way="to"), subject=WEB)
    names = {**names, "kind": "ClusterNetworkPolicy"}
    names["spec"]["tier"] = "Admin"
    assert admits([names]) is None
    assert admits([names], target=OUTSIDE) is True


@pytest.mark.parametrize(
    "change",
    [
        {"subject": {"namespaces": {"sameLabels": ["team"]}}},
        {"subject": {"namespaceSelector": {}}},
        {"subject": None},
        {"tier": "Tenant"},
        {"ingress": [rule("Audit", WEB)]},
        {"ingress": [rule("Deny", {"serviceAccounts": {}})]},
        {"ingress": [rule("Deny", {**WEB, **A_SHOP})]},
        {"ingress": [rule("Deny", {"networks": ["10.0.0.0/8"]})]},
        {"ingress": [rule("Deny")]},
        {"ingress": [rule("Deny", WEB, ports=[{"port": 80}])]},
        {"ingress": [rule("Deny", WEB, when="night")]},
        {"egress": [rule("Deny", {"domainNames": ["a.example.org"]}, way="to")]},
    ],
)
def test_what_is_of_a_form_that_is_not_known_is_not_read(change: dict[str, Any]) -> None:
    """An older version or a newer one: nobody can tell what it says."""
    made = anp(rule("Deny", WEB))
    assert not unread(AdminPolicy("AdminNetworkPolicy", made))
    assert unread(AdminPolicy("AdminNetworkPolicy", {**made, "spec": {**made["spec"], **change}}))


def decided(admin: list[dict[str, Any]], policies: Any = (), source: End = SHOP, target: End = API) -> str:
    """What is said to decide a connection."""
    return table(admin, policies, source, target, 8080, "TCP").decided_by(0, 0)


def test_the_policy_that_decides_is_named_with_its_rule() -> None:
    """By kind, name and rule, in each direction; what passed it on is named before it."""
    web_out = {
        "metadata": {"name": "out", "namespace": "web"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
    }
    assert "no policy" == decided([])
    assert "entering: no rule of NetworkPolicy pay/deny" == decided([], [DENY_IN])
    assert "leaving: NetworkPolicy web/out, rule 1; entering: NetworkPolicy pay/allow, rule 1" == decided(
        [], [DENY_IN, ALLOW_IN, web_out]
    )
    assert "entering: AdminNetworkPolicy a, rule 2 'no web' (Deny)" == decided(
        [anp(rule("Allow", PAY), rule("Deny", WEB, name="no web")), banp(rule("Deny", WEB))], [ALLOW_IN]
    )
    assert "entering: AdminNetworkPolicy a, rule 1 (Pass), then no rule of NetworkPolicy pay/deny" == decided(
        [anp(rule("Pass", WEB))], [DENY_IN]
    )
    assert (
        "entering: AdminNetworkPolicy a, rule 1 (Pass), then BaselineAdminNetworkPolicy default, rule 1 (Deny)"
        == decided([anp(rule("Pass", WEB)), banp(rule("Deny", WEB))])
    )
    assert "entering: AdminNetworkPolicy a, rule 1 (Allow) or AdminNetworkPolicy b, rule 1 (Deny)" == decided(
        [anp(rule("Allow", WEB)), anp(rule("Deny", WEB), name="b")]
    )
    assert "no policy: a pod always reaches itself" == decided([], [DENY_IN], source=API)
    assert "no policy: a node always reaches what runs on it" == decided([], [DENY_IN], source=NODE_TWO)


def test_the_ports_where_a_rule_may_end_are_those_at_its_edges() -> None:
    """Between two neighbours of these all ports are alike; there is no port 0, and none after the last one."""
    ports = [
        {"portRange": {"protocol": "TCP", "start": 1, "end": 9000}},
        {"portNumber": {"protocol": "UDP", "port": 65535}},
        {"namedPort": "x"},
    ]
    assert {(1, "TCP"), (9000, "TCP"), (9001, "TCP"), (65534, "UDP"), (65535, "UDP")} == set(
        edges_of(rule("Deny", WEB, ports=ports))
    )
