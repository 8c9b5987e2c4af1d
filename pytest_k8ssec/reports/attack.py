"""The attack graph for readers: a few lines for the terminal, Mermaid, and one HTML page. Pure functions of node-link JSON."""

from __future__ import annotations

import html
from collections.abc import Iterable

from pytest_k8ssec.reports.attack_svg import GraphBody, Link, edge_id, svg

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


_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2em; color: #212529; background: #fff }
table { border-collapse: collapse } td, th { border: 1px solid #dee2e6; padding: 3px 8px; text-align: left; vertical-align: top }
.picture { overflow: auto; border: 1px solid #dee2e6; margin: 1em 0 }
.picture svg { display: block; max-width: 100%; height: auto } .bad { color: #c92a2a; font-weight: bold }
.good { color: #2b8a3e } .refuted { color: #868e96 } .unknown { color: #e8590c } code { font-size: 12px }
"""


def attack_page(bodies: Iterable[GraphBody]) -> str:
    """One self-contained page without scripts, with a picture and all edges of each graph."""
    parts = "\n".join(_section(body) for body in bodies)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Blast radius</title><style>{_STYLE}</style></head>
<body><h1>Blast radius</h1>
<p>What is within reach of whoever gets into one container. Solid edges are proven live, dashed ones inferred, grey ones
refuted, dotted ones unknown. The thick way is the shortest one to cluster-admin.</p>
{parts}
</body></html>
"""


def _section(body: GraphBody) -> str:
    about = body["graph"]
    links = {edge_id(link): link for link in body["links"]}
    counts = ", ".join(f"{number} {name}" for name, number in about["metrics"].items())
    if about["path"]:
        steps = "".join(f"<li>{html.escape(_told(links[name]))}</li>" for name in about["path"])
        cuts = "".join(
            f"<li>{html.escape(links[name]['fix'])} <small>({html.escape(_controls(links[name]))})</small></li>"
            for name in about["cut"]
        )
        way = f'<p class="bad">cluster-admin is within reach</p><ol>{steps}</ol>'
        way += f"<p>The smallest cut:</p><ul>{cuts}</ul>" if cuts else "<p>No change of one edge cuts it.</p>"
    else:
        way = '<p class="good">no way to cluster-admin was found</p>'
    bounds = "".join(f'<p class="unknown">bound reached: {html.escape(bound)}</p>' for bound in about["bounds"])
    rows = "\n".join(_row(link) for link in sorted(body["links"], key=lambda link: _WORST.index(link["status"])))
    return f"""<h2>{html.escape(about["start"])}</h2><p>reaches {html.escape(counts)}</p>{way}{bounds}
<div class="picture">{svg(body)}</div>
<table><thead><tr><th>edge</th><th>status</th><th>technique</th><th>evidence</th><th>cut by</th></tr></thead><tbody>
{rows}
</tbody></table>"""


_WORST = ("proven-live", "inferred", "unknown", "refuted")


def _row(link: Link) -> str:
    cells = (edge_id(link), link["status"], link["technique"], _evidence(link), _fixes(link))
    return f'<tr class="{link["status"]}">{"".join(f"<td>{html.escape(cell)}</td>" for cell in cells)}</tr>'


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
