"""Pictures of reachability: what each shows, and that they stay readable for many."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

from pytest_k8ssec.evidence import Outcome
from pytest_k8ssec.reach.difference import differences
from pytest_k8ssec.reach.intent import parse
from pytest_k8ssec.reach.matrix import Reachability
from pytest_k8ssec.reach.places import Destination, Origin
from pytest_k8ssec.reach.propagation import Delay, Propagation
from pytest_k8ssec.reports.reach import reach_document, terminal
from pytest_k8ssec.reports.reach_map import reach_page
from tests.unit.reach.reaching import NODE, destination, only, reach, sampled

INTENT = parse("version: 1\nallow:\n- {from: web/shop, to: pay/api, reason: sales}\n", "<intent>.yaml")
TARGETS = [destination("pay/api", 8080, 1), destination("pay/api", 8081, 1), destination("pay/db", 5432, 2)]


SPACE = "kubernetes.io/metadata.name"


def policy(namespace: str, *rules: dict[str, Any], app: str = "") -> dict[str, Any]:
    """A policy for what enters."""
    selector = {"matchLabels": {"app": app}} if app else {}
    spec = {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": list(rules)}
    return {"metadata": {"name": "p", "namespace": namespace}, "spec": spec}


def few() -> Reachability:
    """Three sources, one of them broken, and one connection too many."""
    return reach(
        ("web/shop", "elsewhere", "batch/job", "outside"),
        [*TARGETS, destination(NODE, 10250)],
        only(("web/shop", "pay/api"), ("elsewhere", "pay/db"), ("outside", NODE)),
        broken=["batch/job"],
        policies=[
            policy("pay"),
            policy("pay", {"from": [{"namespaceSelector": {"matchLabels": {SPACE: "web"}}}]}, app="api"),
        ],
    )


def many(namespaces: int = 10, each: int = 20) -> Reachability:
    """Workloads of two ports; each reaches its own namespace, and everybody's first workload on one port."""
    names = [f"team-{space:02}/service-{number:02}" for space in range(namespaces) for number in range(each)]
    targets = [destination(name, port, at) for at, name in enumerate(names, 1) for port in (8080, 9090)]

    def says(source: Origin, target: Destination) -> Outcome:
        here, there = source.name.partition("/"), target.name.partition("/")
        near = here[0] == there[0] or (there[2] == "service-00" and target.port == 8080)
        return Outcome.OPEN if near else Outcome.NO_ANSWER

    policies = [
        made
        for name in dict.fromkeys(name.partition("/")[0] for name in names)
        for made in (
            policy(name, {"from": [{"podSelector": {}}]}),
            policy(name, {"ports": [{"port": 8080}]}, app="service-00"),
        )
    ]
    return reach(names, targets, says, policies=policies)


def test_the_terminal_shows_a_matrix() -> None:
    """One sign a listener, a mark where it differs, and each difference with its evidence."""
    found = few()
    text = "\n".join(terminal(found, INTENT, differences(found, INTENT)))
    assert "  1  pay/api:8080/TCP\n  2  pay/api:8081/TCP\n  3  pay/db:5432/TCP\n  4  node/worker:10250/TCP" in text
    assert re.search(r"web/shop +O  O  \. !\.", text)
    assert re.search(r"elsewhere +\.  \. !O !\.", text)
    assert re.search(r"batch/job +!\? !\? !\? !\?", text)
    assert re.search(r"outside {9,}!O", text)
    assert "13 connections: 4 open, 5 blocked, 4 unknown; 4 execs, 1.2 s" in text
    assert re.search(r"open, and nothing declares it +elsewhere +pay/db:5432/TCP +no +deny +open", text)
    assert "elsewhere -> pay/db:5432/TCP (pod db-0, TCP 10.244.0.2:5432): open in 1.5 ms" in text
    assert "batch/job: exec was refused" in text


def test_the_terminal_shows_namespaces_where_a_matrix_would_not_be_read() -> None:
    """Numbers of connections, from and to each."""
    found = many(4, 20)
    text = "\n".join(terminal(found, None, []))
    assert "open connections of all that were tried, by namespace" in text
    assert re.search(r"team-00 +800/800 +20/800 +20/800 +20/800", text)
    assert max(len(line) for line in text.splitlines()) < 120


def test_the_document_holds_every_cell() -> None:
    """As JSON, with what was concluded and why."""
    found = few()
    told = json.loads(json.dumps(reach_document(found, INTENT, differences(found, INTENT))))
    assert (1, "<intent>.yaml", 13) == (told["schema"], told["intent"], len(told["cells"]))
    first = told["cells"][0]
    assert ("web/shop", "pay/api:8080/TCP", "open", 1.5) == (first["from"], first["to"], first["verdict"], first["ms"])
    assert {"undeclared", "unknown", "not-as-policies"} >= {each["kind"] for each in told["differences"]}
    assert all(each["evidence"] for each in told["differences"])


def test_how_long_a_policy_takes_is_told_where_it_was_measured() -> None:
    """In all three."""
    found = few()
    assert json.loads(json.dumps(reach_document(found, None, [])))["propagation"] is None
    taken = Propagation((Delay("blocked", 40.0, 5.0, 138),), (Delay("open", 42.0, 4.0, 233),))
    timed = replace(found, propagation=taken)
    words = "policy enforced after 40 ms (40 to 40, 1 times), lifted after 42 ms (42 to 42, 1 times)"
    assert words in list(terminal(timed, None, []))
    assert words in reach_page(timed, None, [])
    assert 40.0 == reach_document(timed, None, [])["propagation"]["applied"][0]["milliseconds"]


class Checked(HTMLParser):
    """Whether tags are closed in order, and how many squares there are."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.squares = 0
        self.titles: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count."""
        given = dict(attrs)
        if tag == "td" and "title" in given:
            self.squares += 1
            self.titles.append(given["title"] or "")
        if tag not in ("meta", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Must close what was opened last."""
        assert tag == self.open.pop()


def test_the_page_escapes_what_others_named_and_loads_nothing() -> None:
    """A name is no markup; one file, without scripts, styles or pictures of elsewhere."""
    found = few()
    text = reach_page(found, INTENT, differences(found, INTENT))
    assert "&lt;intent&gt;.yaml" in text
    assert not re.search(r"<script|<intent>|src=|@import|url\(|https?://", text)


def test_the_page_tells_evidence_to_whoever_points_at_a_square() -> None:
    """From where to where, each port, what came back, and who else got through."""
    found = few()
    checked = Checked()
    checked.feed(reach_page(found, INTENT, differences(found, INTENT)))
    assert [] == checked.open
    told = next(title for title in checked.titles if title.startswith("elsewhere to pay/api"))
    assert "8080/TCP pod api-0: blocked, refused 1.5 ms (while node/worker reached it)" in told
    wrong = next(title for title in checked.titles if title.startswith("elsewhere to pay/db"))
    assert "! 5432/TCP pod db-0: open 1.5 ms" in wrong


def test_the_page_takes_two_hundred_workloads() -> None:
    """40,000 squares in a page that a browser opens: folded by namespace, headers that stay, and a summary first."""
    found = many()
    started = time.monotonic()
    text = reach_page(found, None, [])
    checked = Checked()
    checked.feed(text)
    assert 200 * 200 == checked.squares
    assert 10 == text.count("<details open id=")
    assert text.index("Namespaces: open connections") < text.index("from team-00")
    assert len(text) < 16_000_000
    assert time.monotonic() - started < 60
    assert "80000 connections: 9800 open, 70200 blocked, 0 unknown" in text


def test_what_was_not_measured_is_marked_everywhere() -> None:
    """By letter and by style, with who stands for it; and how much it is."""
    found = sampled()
    text = "\n".join(terminal(found, None, []))
    assert "o , - the same, but not measured, or not all of it: as its class" in text
    assert re.search(r"web/shop +O !\.\n", text)
    assert re.search(r"web/cart +o !,\n", text)
    assert "4 connections: 2 open, 2 blocked, 0 unknown, 2 of them by class" in text
    assert "2 connections measured, 2 by class (sources: 1 measured and 1 not, in 1 classes" in text
    page = reach_page(found, None, [])
    assert 2 == len(
        re.findall(r'<td class="cell (?:open byclass|blocked byclass differs)" title="[^"]*">(?:o|,!)</td>', page)
    )
    assert "8080/TCP pod api-0: open by class (not measured, as web/shop to pod api-0)" in page
    assert '<b class="cell byclass">o , -</b>' in page
    assert "2/4, 2 by class" in page
    told = reach_document(found, None, [])
    assert [(True, None), (True, None), (False, "web/shop"), (False, "web/shop")] == [
        (cell["measured"], cell.get("like", "").partition(" -> ")[0] or None) for cell in told["cells"]
    ]
    assert ["outcome" in cell for cell in told["cells"]] == [True, True, False, False]
    assert (7, 2, 2) == (told["extent"]["seed"], told["extent"]["measured"], told["extent"]["by_class"])
    namespaces = "\n".join(terminal(wide(found), None, []))
    assert re.search(r"web +!2/4c", namespaces)
    assert "; c not measured, or not all of it: as its class" in namespaces


def wide(found: Reachability) -> Reachability:
    """With names of more sources than a matrix has rows."""
    made = replace(found)
    made.__dict__["origins"] = (*found.origins, *(f"web/{number}" for number in range(60)))
    return made


def test_where_all_was_measured_nothing_of_classes_is_said() -> None:
    """Readers of few pods need not know of them."""
    found = few()
    texts = ["\n".join(terminal(found, None, [])), reach_page(found, None, [])]
    assert not [text for text in texts if "by class" in text or "seed" in text]
