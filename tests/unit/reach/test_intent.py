"""Intent files: what they say, and each mistake in them with its line and what fixes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_k8ssec.errors import SettingsError
from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.reach.difference import differences
from pytest_k8ssec.reach.intent import load, parse
from pytest_k8ssec.reach.measure import Dial
from pytest_k8ssec.reach.names import matches
from tests.unit.reach.reaching import NODE, destination, only, reach

RULE = "version: 1\nallow:\n  - from: web/storefront\n    to: payments/api\n    ports: [8080/TCP, 53/UDP, 90]\n    reason: sales\n"
API, LEDGER = destination("payments/api", 8080, 1), destination("payments/ledger", 9000, 2)
SOURCES = ("web/storefront", "payments/api", "elsewhere")


def test_a_rule_is_read() -> None:
    """A port is TCP unless it says what else."""
    (rule,) = parse(RULE, "i.yaml").rules
    assert (3, "web/storefront", "payments/api", "sales") == (rule.line, rule.source, rule.target, rule.reason)
    assert ((8080, "TCP"), (53, "UDP"), (90, "TCP")) == rule.ports


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "i.yaml: is empty"),
        ("version: 1\nallow: [", "i.yaml, line 2: is not valid YAML"),
        ("- a", "i.yaml, line 1: the file must be a mapping of version, allow"),
        ("allow: []", "i.yaml, line 1: version must be 1"),
        ("version: 2\nallow: []", "i.yaml, line 1: version must be 1"),
        ("version: 1", "i.yaml, line 1: `allow` is missing"),
        ("version: 1\nallow: {}", "i.yaml, line 2: allow must be a list"),
        ("version: 1\nallow:\n  - nobody", "i.yaml, line 3: a rule must be a mapping"),
        (
            "version: 1\nallow: []\nalow: []",
            "i.yaml, line 3: the file has no key `alow`\n  fix: did you mean `allow`?",
        ),
        (RULE.replace("reason: sales", "why: sales"), "line 6: a rule has no key `why`\n  fix: a rule has from, to"),
        (RULE + "    to: payments/api\n", "line 7: a rule has `to` twice"),
        (RULE.replace("    reason: sales\n", ""), "line 3: a rule needs `reason`"),
        (RULE.replace("sales", '" "'), "line 6: reason is empty"),
        (RULE.replace("90", "http"), "line 5: 'http' is not a port: such as 8080/TCP"),
        (RULE.replace("90", "65536"), "line 5: '65536' is not a port"),
        (RULE.replace("90", "0"), "line 5: '0' is not a port"),
        (RULE.replace("90", "80/ICMP"), "line 5: '80/ICMP' is not a port"),
        (RULE.replace("[8080/TCP, 53/UDP, 90]", "[]"), "line 5: ports is empty"),
        (RULE.replace("[8080/TCP, 53/UDP, 90]", "8080"), "line 5: ports must be a list"),
        (RULE.replace("web/storefront", "[web]"), "line 3: from must be plain text"),
    ],
)
def test_each_mistake_has_its_line(text: str, expected: str) -> None:
    """So that it can be fixed without a search."""
    with pytest.raises(SettingsError) as raised:
        parse(text, "i.yaml")
    assert expected in str(raised.value)


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    """Is named, with the reason."""
    with pytest.raises(SettingsError, match=r"nowhere.yaml: can't be read: No such file"):
        load(tmp_path / "nowhere.yaml")
    (tmp_path / "odd.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"odd\.yaml"):
        load(tmp_path / "odd.yaml")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("web/storefront", "web/storefrnt"), "i.yaml, line 3: from 'web/storefrnt': nothing has that name\n  fix: did you mean web/storefront"),
        (("payments/api", "payments/apo"), "i.yaml, line 3: to 'payments/apo': nothing has that name\n  fix: did you mean payments/api"),
        (("[8080/TCP, 53/UDP, 90]", "[8081]"), "i.yaml, line 3: payments/api does not listen on 8081/TCP\n  fix: it listens on 8080/TCP"),
        (("[8080/TCP, 53/UDP, 90]", "[8080/UDP]"), "payments/api does not listen on 8080/UDP"),
    ],
)  # fmt: skip
def test_a_rule_about_what_is_not_there_is_an_error(change: tuple[str, str], expected: str) -> None:
    """It would allow nothing, and look as if it did."""
    found = reach(SOURCES, [API, LEDGER], only())
    with pytest.raises(SettingsError) as raised:
        parse(RULE.replace(*change), "i.yaml").check(found.places)
    assert expected in str(raised.value)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*", ["web/a", "web/*", "node/x-worker", "elsewhere"]),
        ("web", ["web/a", "web/*"]),
        ("web/*", ["web/a", "web/*"]),
        ("web/a", ["web/a"]),
        ("we", []),
        ("node", ["node/x-worker"]),
        ("node/*-worker", ["node/x-worker"]),
        ("elsewhere", ["elsewhere"]),
    ],
)
def test_names_and_patterns(pattern: str, names: list[str]) -> None:
    """A namespace's name is all of it, its pods without labels too."""
    assert names == [name for name in ("web/a", "web/*", "node/x-worker", "elsewhere") if matches(pattern, name)]


INTENT = "version: 1\nallow:\n- {from: web/storefront, to: payments/api, reason: sales}\n"
DENY_ALL = {
    "metadata": {"name": "deny", "namespace": "payments"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}
ADMIT = {
    "metadata": {"name": "admit", "namespace": "payments"},
    "spec": {
        "podSelector": {"matchLabels": {"app": "api"}},
        "ingress": [{"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "storefront"}}}]}],
    },
}


def test_where_all_three_agree_there_is_no_difference() -> None:
    """Declared, expected and measured."""
    found = reach((*SOURCES, NODE), [API, LEDGER], only(("web/storefront", "payments/api"), (NODE, "payments/api"),
                  (NODE, "payments/ledger"), ("payments/api", "payments/api")), policies=[DENY_ALL, ADMIT])  # fmt: skip
    intent = parse(INTENT + "- {from: payments/api, to: payments/api, reason: itself}\n", "i.yaml")
    told = differences(found, intent)
    assert [("not-as-policies", "payments/api")] == [(each.kind, each.origin) for each in told]
    assert "deny" == told[0].expected


def test_each_kind_of_difference_is_told_worst_first() -> None:
    """Open without a word; declared and shut; not what the policies say; unknown. With the line that declares it."""
    found = reach(
        ("web/storefront", "payments/api", "elsewhere", "batch/job"), [API, LEDGER],
        only(("elsewhere", "payments/ledger"), ("payments/api", "payments/ledger")),
        policies=[DENY_ALL, ADMIT], broken=["batch/job"],
    )  # fmt: skip
    intent = parse(INTENT + "- {from: payments/api, to: payments/ledger, reason: books}\n", "i.yaml")
    told = [(each.kind, each.origin, each.subject, each.declared, each.expected, each.measured)
            for each in differences(found, intent)]  # fmt: skip
    assert [
        ("undeclared", "elsewhere", "payments/ledger:9000/TCP", "no", "deny", "open"),
        ("closed", "web/storefront", "payments/api:8080/TCP", "line 3", "allow", "blocked"),
        ("not-as-policies", "payments/api", "payments/ledger:9000/TCP", "line 4", "deny", "open"),
        ("unknown", "batch/job", "payments/api:8080/TCP", "no", "deny", "unknown"),
        ("unknown", "batch/job", "payments/ledger:9000/TCP", "no", "deny", "unknown"),
    ] == told
    assert "exec was refused" in str(differences(found, intent)[-1])


def test_without_an_intent_only_policies_are_compared() -> None:
    """Nothing is undeclared where nobody declares."""
    found = reach(SOURCES, [API], lambda *_: Outcome.OPEN)
    assert [] == differences(found)
    assert ["undeclared"] * 2 == [each.kind for each in differences(found, parse(INTENT, "i.yaml"))]


@pytest.mark.parametrize(
    ("ports", "expected"),
    [("", "nothing is tried at any port"), ("    ports: [8080]\n", "nothing is tried at 8080/TCP")],
)
def test_a_rule_that_nothing_can_answer_is_an_error(ports: str, expected: str) -> None:
    """From outside nobody sends to pod addresses: a way in that is declared, and is not there, would count as fulfilled."""
    text = f"version: 1\nallow:\n  - from: outside\n    to: payments/api\n{ports}    reason: customers\n"
    intent = parse(text, "i.yaml")
    found = reach((*SOURCES, "outside"), [API, destination("node/worker", 10250)], only())
    for question in (lambda: found.nothing_else_than(intent), lambda: differences(found, intent)):
        with pytest.raises(SettingsError, match=f"i.yaml, line 3: from outside to payments/api {expected}"):
            question()
    by_node = replace(API, way="node", dial=Dial("172.18.0.2", 30080))
    assert reach(("outside",), [API, by_node], only(("outside", "payments/api"))).nothing_else_than(intent)


def test_each_port_of_a_rule_must_be_tried() -> None:
    """One of two is not both."""
    by_node = replace(API, way="node", dial=Dial("172.18.0.2", 30080))
    text = "version: 1\nallow: [{from: outside, to: payments/api, ports: [8080, 9090], reason: x}]"
    found = reach(("outside",), [by_node, destination("payments/api", 9090, 1)], only(("outside", "payments/api")))
    with pytest.raises(SettingsError, match="nothing is tried at 9090/TCP"):
        found.nothing_else_than(parse(text, "i.yaml"))
