"""The attack graph as one picture: each column holds what is equally many steps from the start."""

from __future__ import annotations

import html
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

GraphBody = Mapping[str, Any]
"""The node-link form."""
Link = Mapping[str, Any]

_WIDE, _HIGH = 250, 40
_GAP_X, _GAP_Y, _MARGIN = 130, 16, 20
_OPEN = ("proven-live", "inferred")
_LETTERS = 34
"""That fit into a box."""
_WIDTH, _SMALLEST = 1300, 0.65
"""How wide a page mostly is, and how far a picture is shrunk to fit: letters are still read."""
_STYLE = """
.box { fill: #fff; stroke: #495057 } .out { fill: #f8f9fa; stroke: #ced4da } .out-text { fill: #868e96 }
.admin { fill: #c92a2a; stroke: #c92a2a } .admin-text { fill: #fff } .start { fill: #e7f5ff; stroke: #1971c2 }
.step { fill: none; stroke: #495057; stroke-width: 1.4 } .inferred { stroke-dasharray: 6 4 }
.refuted { stroke: #ced4da; stroke-width: 1 } .unknown { stroke: #e8590c; stroke-dasharray: 2 4 }
.way { stroke: #c92a2a; stroke-width: 3 } .cut { stroke: #2b8a3e }
text { font: 12px system-ui, sans-serif; fill: #212529 } .kind { font-size: 10px; fill: #868e96 }
.tip { fill: #868e96 } .label { font-size: 10px; fill: #495057; paint-order: stroke; stroke: #fff; stroke-width: 3px }
"""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a box stands: its upper left corner."""

    x: int
    y: int

    @property
    def middle(self) -> int:
        return self.y + _HIGH // 2


def svg(body: GraphBody) -> str:
    """The picture, self-contained. Solid is proven, dashed inferred, grey refuted; the way to cluster-admin is thick."""
    return drawing(body, "tip", f"<style>{_STYLE}</style>")


def drawing(body: GraphBody, tip: str, style: str = "") -> str:
    """The same for a page that has the style of its classes, made smaller where it is wide.

    Args:
        body: the graph.
        tip: the id of an arrow's tip, another one for each picture of a page.
        style: what stands before all that is drawn.
    """
    places = _places(body)
    way = set(body["graph"]["path"])
    width = max((place.x for place in places.values()), default=0) + _WIDE + _MARGIN
    height = max((place.y for place in places.values()), default=0) + _HIGH + _MARGIN
    links = sorted(body["links"], key=lambda link: (edge_id(link) in way, link["status"] in _OPEN))
    labels = _labels(links)
    drawn = "\n".join(
        _edge(link, places, labels.pop(_pair(link), ""), tip, thick=edge_id(link) in way) for link in links
    )
    boxes = "\n".join(_box(node, places[node["id"]], body["graph"]["start"]) for node in body["nodes"])
    shrunk = max(_SMALLEST, min(1, _WIDTH / width))
    title = html.escape(f"what is within reach of {body['graph']['start']}")
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width * shrunk:.0f}" height="{height * shrunk:.0f}" role="img">
<title>{title}</title>{style}
<defs><marker id="{tip}" class="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse"
 orient="auto"><path d="M0 0 L8 4 L0 8 z"/></marker></defs>
{drawn}
{boxes}
</svg>
"""


def edge_id(link: Link) -> str:
    """How path, cut and baselines name an edge."""
    return f"{link['key']}: {link['source']} -> {link['target']}"


def _places(body: GraphBody) -> dict[str, _Place]:
    """A column for each distance from the start; in it, what is near to what it comes from."""
    columns = _columns(body)
    rows: dict[str, int] = {}
    for column in columns:
        column.sort(key=lambda name: (_from_where(name, body["links"], rows), name))
        rows.update({name: number for number, name in enumerate(column)})
    tallest = max(len(column) for column in columns)
    found: dict[str, _Place] = {}
    for number, column in enumerate(columns):
        top = _MARGIN + (tallest - len(column)) * (_HIGH + _GAP_Y) // 2
        for row, name in enumerate(column):
            found[name] = _Place(_MARGIN + number * (_WIDE + _GAP_X), top + row * (_HIGH + _GAP_Y))
    return found


def _columns(body: GraphBody) -> list[list[str]]:
    leaving: dict[str, list[str]] = {}
    for link in sorted(body["links"], key=lambda link: link["status"] not in _OPEN):
        leaving.setdefault(link["source"], []).append(link["target"])
    distance, waiting = {body["graph"]["start"]: 0}, deque([body["graph"]["start"]])
    while waiting:
        here = waiting.popleft()
        for there in leaving.get(here, ()):
            if there not in distance:
                distance[there] = distance[here] + 1
                waiting.append(there)
    last = max(distance.values())
    columns: list[list[str]] = [[] for _ in range(last + 1)]
    for node in body["nodes"]:
        columns[distance.get(node["id"], last)].append(node["id"])
    return columns


def _from_where(name: str, links: Sequence[Link], rows: Mapping[str, int]) -> float:
    found = [rows[link["source"]] for link in links if link["target"] == name and link["source"] in rows]
    return sum(found) / len(found) if found else 0.0


def _pair(link: Link) -> tuple[str, str]:
    return link["source"], link["target"]


def _labels(links: Sequence[Link]) -> dict[tuple[str, str], str]:
    """One label for all open edges with the same ends: the kind of the one that matters most, and how many there are more."""
    kinds: dict[tuple[str, str], list[str]] = {}
    for link in links:
        if link["status"] in _OPEN:
            kinds.setdefault(_pair(link), []).insert(0, link["key"])
    return {pair: found[0] + (f" +{len(found) - 1}" if len(found) > 1 else "") for pair, found in kinds.items()}


def _edge(link: Link, places: Mapping[str, _Place], label: str, tip: str, *, thick: bool) -> str:
    source, target = places[link["source"]], places[link["target"]]
    x1, y1, x2, y2 = source.x + _WIDE, source.middle, target.x, target.middle
    if target.x <= source.x:  # back, or down the same column: round the right-hand side
        x2 = target.x + _WIDE
        bend = max(x1, x2) + _GAP_X // 2
        curve = f"M{x1} {y1} C{bend} {y1} {bend} {y2} {x2} {y2}"
        where = (bend - 20, (y1 + y2) // 2)
    else:
        half = (x1 + x2) // 2
        curve = f"M{x1} {y1} C{half} {y1} {half} {y2} {x2} {y2}"
        where = (x2 - 12, y2 - 4)  # beside the target: there each has a row of its own
    style = f"step {link['status']}" + (" way" if thick else "")
    told = html.escape(f"{edge_id(link)} ({link['status']}, {link['technique']})")
    text = (
        f'<text class="label" x="{where[0]}" y="{where[1]}" text-anchor="end">{html.escape(label)}</text>'
        if label
        else ""
    )
    return f'<g><title>{told}</title><path class="{style}" d="{curve}" marker-end="url(#{tip})"/>{text}</g>'


def _box(node: Mapping[str, Any], place: _Place, start: str) -> str:
    style = "box" if node["reached"] else "out"
    text = "" if node["reached"] else " out-text"
    if node["id"] == start:
        style = "start"
    if node["kind"] == "cluster-admin" and node["reached"]:
        style, text = "admin", " admin-text"
    name = node["name"] or node["kind"]
    short = name if len(name) <= _LETTERS else f"…{name[1 - _LETTERS :]}"
    kind = f'<text class="kind{text}" x="{place.x + 8}" y="{place.y + 14}">{html.escape(node["kind"])}</text>'
    return (
        f"<g><title>{html.escape(node['id'])}</title>"
        f'<rect class="{style}" x="{place.x}" y="{place.y}" width="{_WIDE}" height="{_HIGH}" rx="5"/>{kind}'
        f'<text class="name{text}" x="{place.x + 8}" y="{place.y + 31}">{html.escape(short)}</text></g>'
    )
