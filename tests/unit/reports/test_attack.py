"""Pictures and words of an attack graph: pure functions, self-contained, and nothing that a name can break."""

from __future__ import annotations

import argparse
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from pytest_k8ssec.attack.document import node_link
from pytest_k8ssec.attack.graph import CLUSTER_ADMIN, Graph, Kind, Vertex
from pytest_k8ssec.cli import blast as command
from pytest_k8ssec.plain import shown
from pytest_k8ssec.reports import attack
from pytest_k8ssec.reports.attack_svg import svg
from tests.unit.attack.graphs import (
    ACCOUNT,
    BIND,
    CONTAINER,
    ENTER,
    INFERRED,
    MAY,
    NODE,
    REFUTED,
    STEAL,
    TO_ADMIN,
    UNKNOWN,
    edge,
    graph,
)

_SVG = "{http://www.w3.org/2000/svg}"


def wide() -> Graph:
    """A way to cluster-admin, and an edge of each status beside it."""
    return graph(
        *TO_ADMIN,
        edge("host-read", CONTAINER, NODE, REFUTED),
        edge("privileged-mount", CONTAINER, NODE, INFERRED),
        edge("cri-socket", CONTAINER, Vertex(Kind.NODE, "other"), UNKNOWN),
        edge("token-request", ACCOUNT, Vertex(Kind.IDENTITY, '<img src="x">"&')),
        edge("impersonate", ACCOUNT, CONTAINER),
    )


def test_the_summary_names_way_and_cut() -> None:
    """First whether cluster-admin is within reach, then each step with its evidence, then what cuts it."""
    text = attack.graph_summary(node_link(graph(*TO_ADMIN, bounds=("depth 4",))))
    assert "cluster-admin: within reach, proven live" in text
    assert [str(number) for number in range(1, 5)] == re.findall(r"^    (\d)\. ", text, re.MULTILINE)
    assert "set automountServiceAccountToken: false on the pods of web/shop/shop (id-token-automount)" in text
    assert "bound reached: depth 4: what lies behind is not known" in text
    assert "partly by inference" in attack.graph_summary(
        node_link(graph(ENTER, edge("powerful", CONTAINER, CLUSTER_ADMIN, INFERRED)))
    )
    assert "no way was found" in attack.graph_summary(node_link(graph(ENTER)))


def test_mermaid_has_what_is_not_refuted() -> None:
    """Solid and dashed arrows, the way thick; names are quoted."""
    text = attack.mermaid(node_link(wide()))
    assert text.startswith("flowchart LR\n")
    assert '-->|"token-steal"|' in text
    assert '-.->|"privileged-mount"|' in text
    assert "host-read" not in text
    (way,) = re.findall(r"linkStyle ([\d,]+) stroke", text)
    links = [line for line in text.splitlines() if "|" in line]
    assert {"enter", "token-steal", "permission-discover", "role-bind"} == {
        re.findall(r'\|"(.*)"\|', links[int(number)])[0] for number in way.split(",")
    }
    assert '#lt;img src=#quot;x#quot;#gt;#quot;#amp;"]' in text


def test_the_picture_is_well_formed_and_shows_each_status() -> None:
    """One box a vertex, one curve an edge, the way thick and red."""
    body = node_link(wide())
    root = ET.fromstring(svg(body))
    boxes = root.findall(f".//{_SVG}rect")
    curves = [path for path in root.findall(f".//{_SVG}path") if path.get("class")]
    assert len(boxes) == len(body["nodes"])
    assert len(curves) == len(body["links"])
    classes = [str(path.get("class")) for path in curves]
    assert 4 == sum("way" in each for each in classes)
    for status in ("proven-live", "inferred", "refuted", "unknown"):
        assert any(status in each for each in classes)


def test_boxes_do_not_overlap_and_fit() -> None:
    """Also where there are many in one column, and edges that lead back."""
    many = [edge("endpoint", CONTAINER, Vertex(Kind.ENDPOINT, f"pay/api:{port}")) for port in range(40)]
    back = edge("pod-exec", ACCOUNT, CONTAINER)
    root = ET.fromstring(svg(node_link(graph(*TO_ADMIN, *many, back))))
    _, _, width, height = map(float, str(root.get("viewBox")).split())
    places = [
        tuple(float(str(box.get(key))) for key in ("x", "y", "width", "height")) for box in root.iter(f"{_SVG}rect")
    ]
    for number, (x, y, w, h) in enumerate(places):
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
        for x2, y2, w2, h2 in places[:number]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def test_the_start_alone_is_a_picture() -> None:
    """A walk that found nothing at all."""
    assert svg(node_link(graph())).count("<rect") == 1


def test_the_page_is_self_contained_and_escapes() -> None:
    """No script, no address of anybody, no name as markup."""
    page = attack.attack_page([node_link(wide()), node_link(graph(ENTER, STEAL, MAY))])
    assert page.startswith("<!doctype html>")
    assert not re.search(r"<script|<link|<img|src=|href=|url\((?!#tip)", page.replace("&lt;img src=", ""))
    assert set(re.findall(r"https?://[^\"' ]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert "cluster-admin is within reach" in page
    assert "no way to cluster-admin was found" in page
    assert BIND.id.replace(">", "&gt;") in page


def test_hostile_names_are_shown_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In every picture and document, and in what is printed: no name begins a line, or moves the cursor."""
    nasty = "x\x1b[2J\x1b]8;;a\x07\x00\r\u202e\u2028]]><script>\nENTRY\ud800"
    found = graph(*TO_ADMIN, edge("token-request", ACCOUNT, Vertex(Kind.IDENTITY, nasty)), bounds=(nasty,))
    paths = {kind: tmp_path / f"out.{kind}" for kind in ("json", "html", "svg")}
    for mermaid in (False, True):
        command._write(argparse.Namespace(**paths, all=False, mermaid=mermaid), [found])
    printed = capsys.readouterr().out
    texts = [printed, *(path.read_text(encoding="utf-8") for path in paths.values())]
    for text in texts:
        assert shown(text) == text
        assert r"\x1b[2J" in text.replace("\\\\", "\\")
        assert "\nENTRY" not in text
    assert "<script>" not in printed.partition("flowchart")[2] + "".join(texts[2:])
    ET.fromstring(texts[3])
    assert "\x1b" not in str(json.loads(texts[1]))
