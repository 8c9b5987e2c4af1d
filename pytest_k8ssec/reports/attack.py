"""The attack graph for readers: a few lines for the terminal, Mermaid, and one HTML page. Pure functions of node-link JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_k8ssec.plain import shown
from pytest_k8ssec.reports.attack_svg import GraphBody, Link, drawing, edge_id

_CODES = {'"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "#": "#35;", "`": "#96;"}
_ARROWS = {"proven-live": "-->", "inferred": "-.->", "refuted": "-.-x", "unknown": "-.-o"}


def graph_summary(body: GraphBody) -> str:
    """What a reader wants to know first."""
    about = body["graph"]
    counts = ", ".join(f"{number} {name}" for name, number in about["metrics"].items())
    lines = [f"{about['start']}: reaches {counts}"]
    links = {edge_id(link): link for link in body["links"]}
    if about["path"]:
        proven = all(links[name]["status"] == "proven-live" for name in about["path"])
        lines.append(f"  cluster-admin: within reach, {'proven live' if proven else 'partly by inference'}")
        lines += [f"    {number}. {_told(links[name])}" for number, name in enumerate(about["path"], 1)]
        if about["cut"]:
            lines.append("  the smallest cut:")
            lines += [f"    {links[name]['fix']} ({_controls(links[name])})" for name in about["cut"]]
    else:
        lines.append("  cluster-admin: no way was found")
    lines += [f"  bound reached: {bound}: what lies behind is not known" for bound in about["bounds"]]
    lines += [f"  unknown: {edge_id(link)}" for link in body["links"] if link["status"] == "unknown"]
    lines.append(f"  {about['requests']} requests with found credentials, {about['seconds']} s")
    return "\n".join(lines)


def mermaid(body: GraphBody) -> str:
    """A flowchart that Markdown renders; refuted edges are left out, as there are many."""
    shown = [link for link in body["links"] if link["status"] != "refuted"]
    ends = {end for link in shown for end in (link["source"], link["target"])} | {body["graph"]["start"]}
    nodes = [node for node in body["nodes"] if node["id"] in ends]
    short = {node["id"]: f"v{number}" for number, node in enumerate(nodes)}
    lines = ["flowchart LR"]
    lines += [f'  {short[node["id"]]}["{_quoted(node["id"])}"]' for node in nodes]
    lines += [
        f'  {short[link["source"]]} {_ARROWS[link["status"]]}|"{_quoted(link["key"])}"| {short[link["target"]]}'
        for link in shown
    ]
    way = [number for number, link in enumerate(shown) if edge_id(link) in body["graph"]["path"]]
    if way:
        lines.append(f"  linkStyle {','.join(map(str, way))} stroke:#c92a2a,stroke-width:3px")
    if "cluster-admin" in short:
        lines.append(f"  style {short['cluster-admin']} fill:#c92a2a,color:#fff")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class DrawnGraph:
    """A graph as a part of a page: words, the picture, and its edges."""

    start: str
    reaches: str
    way: Sequence[str]
    """The steps to cluster-admin, none where no way was found."""
    cut: Sequence[tuple[str, str]]
    """What cuts it, and the controls that look for that."""
    bounds: Sequence[str]
    picture: str
    rows: Sequence[tuple[str, ...]]
    """Of each edge: its id, status, technique, evidence, and what cuts it."""
    refuted: int
    """How many edges that were refuted are not among them."""
    unknown: int
    """How many edges could not be told."""


def drawn_graph(body: GraphBody, number: int) -> DrawnGraph:
    """What a page shows of a graph.

    Args:
        body: the node-link form, or the open part of it.
        number: another one for each graph of the page.
    """
    about = body["graph"]
    links = {edge_id(link): link for link in body["links"]}
    return DrawnGraph(
        about["start"],
        ", ".join(f"{number} {name}" for name, number in about["metrics"].items()),
        [_told(links[name]) for name in about["path"]],
        [(links[name]["fix"], _controls(links[name])) for name in about["cut"]],
        about["bounds"],
        shown(drawing(body, f"tip-{number}")),
        [_row(link) for link in sorted(body["links"], key=lambda link: _WORST.index(link["status"]))],
        about.get("refuted", 0),
        sum(link["status"] == "unknown" for link in body["links"]),
    )


def attack_page(bodies: Iterable[GraphBody]) -> str:
    """One self-contained page without scripts, with a picture and all edges of each graph."""
    from pytest_k8ssec.reports.page.templating import filled  # what is printed needs no templates

    return filled("blast.html", graphs=[drawn_graph(body, number) for number, body in enumerate(bodies)])


_WORST = ("proven-live", "inferred", "unknown", "refuted")


def _row(link: Link) -> tuple[str, ...]:
    return edge_id(link), link["status"], link["technique"], _evidence(link), _fixes(link)


def _fixes(link: Link) -> str:
    return f"{link['fix']} ({_controls(link)})" if link["fix"] else ""


def _controls(link: Link) -> str:
    return ", ".join(link["controls"]) or "no control looks for it alone"


def _evidence(link: Link) -> str:
    found = link["evidence"]
    answer = f"HTTP {found['status']}" if found.get("status") is not None else found["outcome"]
    words = f" ({found['detail']})" if found.get("detail") else ""
    return f"{found['request']} -> {answer}{words}"


def _told(link: Link) -> str:
    """One step of the way, with what shows it."""
    return f"{edge_id(link)} [{link['status']}, {link['technique']}]: {_evidence(link)}"


def _quoted(text: str) -> str:
    """In a label nothing ends the quotes, and nothing is read as HTML or as one of Mermaid's own codes."""
    return "".join(_CODES.get(letter, letter) for letter in text)
