"""report.html: every verdict is there, nothing that a name holds becomes markup, nothing is loaded, and it stays small."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import random
import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings

from pytest_k8ssec.attack.document import node_link, open_part
from pytest_k8ssec.attack.graph import Kind, Vertex
from pytest_k8ssec.plain import shown
from pytest_k8ssec.reach.difference import differences
from pytest_k8ssec.reports.page.written import LARGE_BYTES_MAX, PAGE_BYTES_MAX, report_page
from pytest_k8ssec.reports.reach_map import reach_map
from pytest_k8ssec.secrecy.redact import register
from tests.unit.attack.graphs import CONTAINER, TO_ADMIN, UNKNOWN, edge, graph
from tests.unit.reach.reaching import sampled
from tests.unit.reports.forms.test_forms import HOSTILE, WAIVER, attack, blame, report, result

_LOADS = {"src", "srcset", "data", "poster", "background", "action", "formaction", "ping", "xlink:href", "style"}
_VOID = {"meta", "input", "br", "rect", "line", "path", "link", "img", "hr"}


class Page(HTMLParser):
    """What a browser would find: elements, their attributes, and the text of each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.raw: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag}: an attribute twice: {names}"
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one without content."""
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """Each that was opened ends, in turn."""
        assert tag == self._open.pop()

    def handle_data(self, data: str) -> None:
        """Note text."""
        if self._open and self._open[-1] in ("style", "script"):
            self.raw[self._open[-1]] = self.raw.get(self._open[-1], "") + data
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All that is read."""
        return " ".join(self.texts)

    def having(self, name: str) -> list[dict[str, str]]:
        """The attributes of each element that has one."""
        return [found for _, found in self.tags if name in found]


def made(*results: dict[str, Any], **run: Any) -> Page:
    """The page of a report."""
    return Page(report_page(report(*results, **run)))


def graphs(name: str = "shop") -> list[dict[str, Any]]:
    """What is within reach of two workloads."""
    wide = [edge("endpoint", CONTAINER, Vertex(Kind.ENDPOINT, f"{name}:{port}"), UNKNOWN) for port in range(9)]
    return [open_part(node_link(each)) for each in (graph(*TO_ADMIN[:1]), graph(*TO_ADMIN, *wide))]


def measured() -> dict[str, Any]:
    """Who reaches whom, some of it by class."""
    found = sampled()
    return reach_map(found, None, differences(found))


def everything() -> list[dict[str, Any]]:
    """A result of each verdict and each severity, with all that a result can have."""
    waived = [{**WAIVER, "case": "side", "attack": "knock"}]
    state = {**WAIVER, "control": "net-side", "state": "used", "ends_soon": True, "breaches": 1, "near": ""}
    more: dict[str, Any] = {
        "notes": ["a note"], "doubts": ["a doubt"], "whole": True,
        "coverage": {"words": "3 of 4 were tried", "existing": 4, "tried": 3, "by_class": 0, "left_out": 0, "absent": 0,
                     "untried": [{"at": {"node": "worker"}, "why": "it was away"}], "nothing_there": []},
        "tables": [{"title": "ways in", "columns": ["front", "back"], "rows": [{"row": "who", "cells": ["403", "200!"]}]}],
        "snippets": [{"language": "yaml", "text": "kind: Door\n"}],
        "positives": [{k: v for k, v in attack("front").items() if k != "through"} | {"succeeded": True, "latency_ms": 1.5}],
    }  # fmt: skip
    return [
        result("etcd-open", severity="critical", attacks=[attack("front"), attack("back")], blamed=[blame("front", "a.py:3"), blame("back")], **more),
        result("net-door", attacks=[attack("front")], mappings={"cis": ["2.2"], "owasp": ["K07:2025"]}),
        result("rbac-mild", "inconclusive", severity="medium", reason="no probe"),
        result("net-side", "waived", severity="low", attacks=[attack("side", waived=True)], waived=waived, waivers=[state]),
        result("wl-fine", "held", subject="stack", attacks=[{**attack("x"), "through": False}]),
        result("ext-none", "not-applicable"),
        result("blast-radius", "held", subject="stack", attacks=[], graphs=graphs()),
        result("test_of_ours", "held", subject="", severity="", mappings={}, remediation="", place="tests/test_x.py:3"),
    ]  # fmt: skip


def test_every_verdict_is_there_once_with_what_it_can_be_chosen_by() -> None:
    """The worst first; those under a sabotage are no verdicts."""
    found = made(*everything(), result("etcd-open", phase="sabotaged", attacks=[attack("x")]))
    listed = [each for tag, each in found.tags if tag == "li" and "data-verdict" in each]
    assert [
        ("breached", "critical", "etcd", "cluster"),
        ("breached", "high", "net", "cluster"),
        ("inconclusive", "medium", "rbac", "cluster"),
        ("waived", "low", "net", "cluster"),
        ("held", "high", "blast", "stack"),
        ("held", "high", "wl", "stack"),
        ("held", "own tests", "own tests", "own tests"),
        ("not-applicable", "high", "ext", "cluster"),
    ] == [(each["data-verdict"], each["data-severity"], each["data-family"], each["data-subject"]) for each in listed]
    assert "team web" == listed[3]["data-owner"]
    assert ["cis", "owasp"] == listed[1]["data-framework"].split("\n")
    for each in everything():
        assert each["control"] in found.text


def test_what_a_lead_looks_at_first_is_above_the_verdicts() -> None:
    """What is, by whom, where, how it was shown, and what to do."""
    text = report_page(report(*everything()))
    above = text[: text.index('id="the-verdicts" ')]
    assert "2 breached: 1 critical, 1 high" in above
    for told in ("front is open", "Role x", "a.py:3", "Shut it.", "kind: Door", "pod front: knock"):
        assert told in above


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (["held"], "Nothing breached"),
        (["held", "inconclusive"], "Nothing breached, 1 not known"),
        (["inconclusive", "not-applicable"], "Nothing proven"),
        (["not-applicable"], "Nothing proven"),
        (["waived", "inconclusive"], "Nothing breached but what is waived, 1 not known"),
        (["waived"], "Nothing breached but what is waived"),
        (["held", "breached"], "1 breached: 1 high"),
    ],
)
def test_the_headline_never_says_more_than_was_earned(verdicts: list[str], said: str) -> None:
    """What nobody could tell is no success."""
    page = report_page(report(*(result(f"a-{each}", each, attacks=[]) for each in verdicts)))
    headline = re.search(r'<p class="headline [^>]*>(.*?)</p>', page, re.DOTALL)
    assert headline
    told = " ".join(headline[1].split())
    assert said == (told.partition(":")[0] if said == "Nothing proven" else told)


@pytest.mark.parametrize("status", ["failed", "broken off", "", None])
def test_a_run_that_did_not_pass_is_no_success(status: str | None) -> None:
    """A test without a verdict may have failed, or never have run; of an older report nobody knows."""
    ended = {"ended": None if status is None else {"status": status, "without_verdict": ["t.py::test_<apart>"]}}
    page = report_page(report(result("a-held", "held", attacks=[]), **ended))
    assert "Nothing breached, and the run did not pass" in " ".join(page.split())
    assert 'class="headline doubt"' in page
    assert ("Without a verdict: t.py::test_&lt;apart&gt;." in " ".join(page.split())) is (status is not None)


def test_a_control_that_has_attacks_is_not_lost_among_those_of_its_reason() -> None:
    """Whatever took the others away: it tried something."""
    same = {"reason": "docker is down", "positives": []}
    lost = [result(f"a-{number}", "inconclusive", attacks=[], **same) for number in range(2)]
    page = report_page(report(*lost, result("net-c", "inconclusive", attacks=[attack("x")], **same)))
    unknown = page[page.index("What is not known") : page.index('id="the-verdicts"')]
    assert all(name in unknown for name in ("a-0", "a-1", "net-c"))


def test_an_id_of_which_a_part_could_not_be_judged_is_held_in_part() -> None:
    """A reader of the framework takes it for proven else."""
    mapped = {"attacks": [], "mappings": {"cis": ["1.2.1"]}}
    both = [result("a-held", "held", **mapped), result("b-away", "not-applicable", **mapped)]
    assert "held</b> in part" in report_page(report(*both)).replace("</span>", "</b>")
    assert " in part</td>" not in report_page(report(both[0]))


def test_what_broke_off_says_so() -> None:
    """Whatever it did not get to may be breached, too."""
    words = "The test broke off"
    assert words in report_page(report(result("a-b", whole=False, attacks=[attack("x")])))
    assert words not in report_page(report(result("a-b", whole=True, attacks=[attack("x")])))


def test_a_cause_that_took_several_away_is_told_once() -> None:
    """With their names."""
    found = report_page(
        report(*(result(f"a-{each}", "inconclusive", reason="docker is down") for each in "xyz"), result("b", "held"))
    )
    above = found[: found.index('id="the-verdicts" ')]
    assert 1 == above.count("docker is down")
    assert "3 could tell nothing, for one reason" in above


def test_nothing_is_loaded_and_the_browser_knows_our_style_and_script() -> None:
    """By their hashes; everything else is forbidden. Links are all that leads away."""
    found = made(*everything())
    (policy,) = (each["content"] for each in found.having("http-equiv"))
    assert policy.startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(found.raw[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.search(r"unsafe|url\(|@import", policy + found.raw["style"])
    for tag, attributes in found.tags:
        assert tag not in {
            "link",
            "img",
            "iframe",
            "object",
            "embed",
            "form",
            "base",
            "audio",
            "video",
            "source",
            "use",
        }
        assert not _LOADS & set(attributes), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")]
        target = attributes.get("href", "")
        assert tag == "a" or not target
        assert target.startswith(("#", "https://")) or not target


def test_each_link_and_each_label_has_its_target_and_no_id_is_there_twice() -> None:
    """Two results of one control as well."""
    found = made(*everything(), result("net-door", "held"), result("<x>", "held"))
    ids = Counter(each["id"] for each in found.having("id"))
    assert [1] == sorted(set(ids.values()))
    wanted = [each["href"][1:] for each in found.having("href") if each["href"].startswith("#")]
    wanted += [each["for"] for each in found.having("for")]
    wanted += [each["aria-labelledby"] for each in found.having("aria-labelledby")]
    assert not set(wanted) - set(ids)
    assert {"control-net-door", "control-etcd-open"} <= set(ids)


def test_it_is_the_same_each_time() -> None:
    """A function of the document alone, which may have been through a file."""
    document = report(*everything())
    assert report_page(document) == report_page(json.loads(json.dumps(document)))


@settings(max_examples=60)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_no_name_becomes_markup_or_moves_a_cursor(one: str, two: str, three: str) -> None:
    """Wherever it stands, also where a report never was made safe: elements and attributes are as with plain names."""

    def with_names(one: str, two: str, three: str) -> dict[str, Any]:
        entry = result(
            two, subject="", title=three, attacks=[attack(one, three)], blamed=[blame(one, f"{one}.py:3", finding=one)],
            reason=three, remediation=two, snippets=[{"language": "sh", "text": one}], notes=[one], doubts=[two],
            tables=[{"title": one, "columns": [two], "rows": [{"row": three, "cells": [one]}]}], place=two,
            graphs=graphs(three),
        )  # fmt: skip
        state = {
            **WAIVER,
            "control": two,
            "state": "unused",
            "ends_soon": False,
            "breaches": 0,
            "near": one,
            "owner": three,
        }
        other = result("a-b", "inconclusive", title=three, reason=one, waivers=[state])
        document: dict[str, Any] = {**report(), "results": [entry, other]}
        document["run"] = {**document["run"], "stack": {"project": two}, "cluster": {"name": one, "origin": three}}
        found = measured()
        document["run"]["reach"] = [
            {
                **found,
                "compared_with": one,
                "notes": [two],
                "origins": [three for _ in found["origins"]],
                "targets": [one for _ in found["targets"]],
            }
        ]
        return document

    page = report_page(with_names(one, two, three))
    assert page == shown(page)
    plain = Page(report_page(with_names("one", "two", "three")))
    found = Page(page)
    kinds = [(tag, [*attributes]) for tag, attributes in found.tags]
    lines = one.strip("\n").count("\n")  # a reason of several lines is a list of them
    if not lines and one and two and three and not any("\n" in each for each in (two, three)):
        assert {tag for tag, _ in kinds} == {tag for tag, _ in plain.tags}
    assert {name for _, names in kinds for name in names} <= {name for _, each in plain.tags for name in each}
    assert found.raw == plain.raw


def test_no_secret_is_on_it() -> None:
    """Redacted as report.json is."""
    secret = register("correct-horse-battery-7")
    found = made(result(secret, title=secret, reason=secret, notes=[secret], attacks=[attack(secret)]))
    assert secret not in found.text


def many(workloads: int, attacks: int = 40) -> list[dict[str, Any]]:
    """45 results as large as those of so many workloads."""
    long = "x" * 150
    return [
        result(
            f"net-{number}", "breached" if number % 3 == 0 else "held",
            attacks=[
                {**attack(f"pod team-{each % 100}/workload-{each} to port {port}", f"knock {long}"), "through": number % 3 == 0}
                for each in range(workloads) for port in range(max(1, attacks // 10))
            ],
            blamed=[blame(f"pod team-{each % 100}/workload-{each}", f"infra/__main__.py:{each}") for each in range(workloads)]
            if number % 3 == 0 else [],
            reason="\n".join(f"team-{each} is open" for each in range(workloads)),
            tables=[{"title": f"ways in team-{each}", "columns": [f"way {way}" for way in range(20)], "rows": [{"row": f"account {row}", "cells": ["403"] * 20} for row in range(4)]} for each in range(100)]
            if number == 0 else [],
        )
        for number in range(45)
    ]  # fmt: skip


@pytest.mark.parametrize(("workloads", "most"), [(40, PAGE_BYTES_MAX), (200, LARGE_BYTES_MAX)])
def test_it_stays_small_and_says_what_it_leaves_out(workloads: int, most: int) -> None:
    """What got through comes first; each verdict is there."""
    page = report_page(report(*many(workloads)))
    assert len(page.encode()) <= most
    assert "This page is kept small" in page
    assert re.search(r"[1-9]\d* more attacks and positive controls: see report.json", page)
    assert 45 == len([each for tag, each in Page(page).tags if tag == "li" and "data-verdict" in each])


def test_a_small_one_leaves_nothing_out() -> None:
    """And does not say so."""
    found = report_page(report(*everything()))
    assert "This page is kept small" not in found
    assert "see report.json" not in found


def test_the_blast_radius_is_drawn_the_widest_first() -> None:
    """The way to cluster-admin, what cuts it, a picture, and the edges; how many were left out is said."""
    found = report_page(report(*everything()))
    part = found[found.index('id="the-radius"') : found.index('id="the-timings"')]
    assert 2 == part.count("<svg ")
    assert part.index("cluster-admin is within reach") < part.index("no way to cluster-admin")
    assert "The smallest cut:" in part
    many_of_them = result("blast-radius", "held", graphs=graphs() * 400)
    page = report_page(report(many_of_them))
    assert len(page.encode()) <= PAGE_BYTES_MAX
    assert re.search(r"[1-9]\d* more workloads: see report.json", page)


SINCE = {
    "baseline": "old.json", "unjudged": 2,
    "changes": [
        {"change": change, "control": control, "severity": "high", "words": f"<{change}>", "place": "a.py:3", "waived": False}
        for change, control in (("unchanged", "net-door"), ("new", "etcd-open"), ("resolved", "wl-fine"))
    ],
}  # fmt: skip


def test_what_is_new_since_the_baseline_is_told_and_can_be_chosen() -> None:
    """On its card, in a table, and by a filter."""
    document = report(*everything(), since=SINCE)
    text = report_page(document)
    assert "1 new, 0 incomparable, 1 resolved, 0 gone, 1 unchanged; 2 controls of the baseline were not run" in text
    assert '<span class="badge breached">new</span>' in text
    assert '<span class="badge">not new</span>' in text
    listed = {each["id"]: each["data-change"] for tag, each in Page(text).tags if tag == "li" and "data-change" in each}
    assert ("new", "unchanged", "") == tuple(
        listed[f"control-{name}"] for name in ("etcd-open", "net-door", "ext-none")
    )
    assert "the-changes" not in report_page(report(*everything()))


def test_who_reaches_whom_is_drawn_where_it_was_measured() -> None:
    """By letter; where there is no room for all, the namespaces stay."""
    assert "the-reachability" not in report_page(report(*everything()))
    found = report_page(report(*everything(), reach=[measured()]))
    part = found[found.index('id="the-reachability"') : found.index('id="the-radius"')]
    assert re.search(r'<th scope="row">web/shop</th><td class="cell open">O</td>', part)
    assert "4 connections: 2 open, 2 blocked, 0 unknown, 2 of them by class" in part
    names = [f"team-{each % 50}/workload-{each}" for each in range(500)]
    large = {
        **measured(),
        "origins": names,
        "targets": names,
        "signs": ["." * 500] * 500,
        "differing": [" " * 500] * 500,
    }
    page = report_page(report(*everything(), reach=[large]))
    assert len(page.encode()) <= PAGE_BYTES_MAX
    assert "There are too many for this page" in page
    assert "2/4, 2 by class" in page


def places(value: Any, *above: Any) -> list[tuple[Any, ...]]:
    """The way to each value within one."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(*above,), *(each for key, one in inner for each in places(one, *above, key))]


def test_a_report_that_no_run_wrote_makes_a_page_or_is_told_as_such() -> None:
    """Whatever of it is missing or of another kind: ``as_written`` knows each error that comes of it."""
    under_sabotage: dict[str, Any] = {
        "sabotages": ["x"],
        "own_sabotages": ["x"],
        "pack": "x",
        "missing": {},
        "expected": "held",
    }
    results = [{**under_sabotage, **each} for each in everything()]
    document = report(
        *results, result("a-b", phase="sabotaged", sabotage="x", **under_sabotage), since=SINCE, reach=[measured()]
    )
    chance = random.Random(7)
    told = 0
    for way in chance.sample([each for each in places(document) if each], 150):
        spoilt = copy.deepcopy(document)
        part = spoilt
        for key in way[:-1]:
            part = part[key]
        part[way[-1]] = chance.choice([None, 0, -1, "x", [], {}, True, ["x"], {"a": 1}])
        try:
            report_page(spoilt)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            told += 1
    assert 0 < told < 150


def test_frameworks_say_which_ids_were_judged_and_how() -> None:
    """The worst of several controls counts; what was not judged is told."""
    found = report_page(
        report(result("a-b", "held", mappings={"cis": ["2.2", "9.9.9"]}), result("a-c", mappings={"cis": ["2.2"]}))
    )
    part = found[found.index("CIS Kubernetes Benchmark") : found.index("NSA/CISA")]
    assert "1 breached" in part
    assert "1 held" in part
    assert "9.9.9" in part  # of another version of this tool
    assert "Not judged in this run" in part
