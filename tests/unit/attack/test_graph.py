"""The attack graph: what is reached, the shortest way, the smallest cut, and its canonical form."""

from __future__ import annotations

import json

import pytest

from pytest_k8ssec.attack.cut import smallest_cut
from pytest_k8ssec.attack.document import node_link
from pytest_k8ssec.attack.graph import CLUSTER_ADMIN, Edge, Graph, Kind, Vertex
from pytest_k8ssec.attack.kinds import KINDS
from pytest_k8ssec.attack.meter import BoundReached, Bounds, Meter
from pytest_k8ssec.catalogue.packaged import packaged_controls
from tests.unit.attack.graphs import (
    ACCOUNT,
    BIND,
    CONTAINER,
    ENTER,
    INFERRED,
    KEY,
    MAY,
    NODE,
    PROVEN,
    REFUTED,
    RIGHTS,
    SHOP,
    STEAL,
    TO_ADMIN,
    UNKNOWN,
    edge,
    graph,
)


def test_each_kind_names_controls_that_there_are() -> None:
    """A kind that can be cut says how, and by whose finding; its fix can be filled in."""
    known = {each.id for each in packaged_controls()}
    for kind in KINDS.values():
        assert set(kind.controls) <= known, kind
        assert bool(kind.fix) or not kind.controls
        assert "{" not in edge(kind.name, CONTAINER, NODE).fix
    assert sorted(KINDS.values(), key=lambda kind: kind.order) == list(KINDS.values())


def test_only_open_edges_are_walked() -> None:
    """What was refuted or is unknown leads nowhere, and what is behind it is not reached."""
    for status in (REFUTED, UNKNOWN):
        found = graph(ENTER, edge("token-steal", CONTAINER, ACCOUNT, status), MAY, BIND)
        assert {SHOP, CONTAINER} == found.reached
        assert not found.is_admin
        assert () == found.path()
    assert graph(*TO_ADMIN).is_admin


def test_unknown_counts_only_where_it_was_reached() -> None:
    """An unknown edge from what is out of reach says nothing of the radius; one from what was reached is not refuted."""
    far = edge("host-read", NODE, KEY, UNKNOWN)
    assert graph(ENTER, far).conclusive
    near = edge("host-read", CONTAINER, NODE, UNKNOWN)
    assert not graph(ENTER, near).conclusive
    assert (near,) == graph(ENTER, near).unknown


def test_a_bound_that_was_reached_is_inconclusive() -> None:
    """Behind it there may be more."""
    assert not graph(ENTER, bounds=("depth 4",)).conclusive


def test_of_two_answers_the_one_that_says_more_stays() -> None:
    """Proven beats inferred, inferred unknown, unknown refuted; the order does not matter."""
    weak, strong = edge("token-steal", CONTAINER, ACCOUNT, REFUTED), STEAL
    assert strong.status is graph(weak, strong).edges[STEAL.id].status is graph(strong, weak).edges[STEAL.id].status


def test_a_proven_way_is_preferred_to_a_shorter_inferred_one() -> None:
    """The way that is shown is one that was proven, where there is one."""
    short = edge("privileged-mount", CONTAINER, CLUSTER_ADMIN, INFERRED)
    assert TO_ADMIN == graph(*TO_ADMIN, short).path()
    assert (ENTER, short) == graph(ENTER, STEAL, short).path()


def test_the_cut_is_the_fewest_edges_that_can_be_cut() -> None:
    """One edge through which all ways lead; never one that no change removes."""
    other = edge("role-escalate", RIGHTS, CLUSTER_ADMIN)
    assert (STEAL,) == smallest_cut(graph(*TO_ADMIN, other))
    assert {STEAL.id, "host-write: container:web/shop/shop -> node:worker"} == {
        each.id
        for each in smallest_cut(
            graph(*TO_ADMIN, edge("host-write", CONTAINER, NODE), edge("control-plane", NODE, CLUSTER_ADMIN, INFERRED))
        )
    }
    assert () == smallest_cut(graph(ENTER, STEAL))
    assert () == smallest_cut(graph(ENTER, edge("control-plane", CONTAINER, CLUSTER_ADMIN, INFERRED)))


def test_the_cut_really_cuts() -> None:
    """Without its edges there is no way any more, whatever the graph: a ladder with rungs."""
    rungs = [Vertex(Kind.NODE, f"n{number}") for number in range(6)]
    edges = [ENTER]
    for number, rung in enumerate(rungs):
        edges += [
            edge("host-read", CONTAINER, rung),
            edge("pod-exec", rung, rungs[(number + 1) % 6]),
            edge("role-bind", rung, CLUSTER_ADMIN, PROVEN if number % 2 else INFERRED),
        ]
    cut = smallest_cut(graph(*edges))
    assert 6 == len(cut)
    assert not graph(*(each for each in edges if each not in cut)).is_admin


def test_metrics_count_distinct_things() -> None:
    """Namespaces are those of all that was reached, the workload's own among them."""
    other = Vertex(Kind.SECRET, "pay/key")
    found = graph(*TO_ADMIN, edge("secrets-get", RIGHTS, KEY), edge("secrets-list", RIGHTS, KEY),
                  edge("secrets-get", RIGHTS, other))  # fmt: skip
    assert {"identities": 1, "namespaces": 2, "secrets": 2, "nodes": 0} == found.metrics


def test_only_what_gives_something_is_agreed_to() -> None:
    """To see one's mounts or to know one's rights is no gain."""
    volume = edge("volume-discover", CONTAINER, Vertex(Kind.VOLUME, "web/shop/script"))
    assert (STEAL,) == graph(ENTER, volume, STEAL, MAY).gains


def test_the_canonical_form_is_the_same_in_each_order() -> None:
    """Node-link JSON, sorted."""
    one, two = graph(*TO_ADMIN), graph(*reversed(TO_ADMIN))
    assert json.dumps(node_link(one)) == json.dumps(node_link(two))
    body = node_link(one)
    assert [each.id for each in TO_ADMIN] == body["graph"]["path"]
    assert [STEAL.id] == body["graph"]["cut"]
    assert {"id": "cluster-admin", "kind": "cluster-admin", "name": "", "reached": True} in body["nodes"]
    assert {"status", "technique", "controls", "fix", "evidence"} <= set(body["links"][0])


@pytest.mark.parametrize(
    ("vertex", "expected"),
    [
        (ACCOUNT, "web"),
        (KEY, "web"),
        (CONTAINER, "web"),
        (Vertex(Kind.NAMESPACE, "web"), "web"),
        (NODE, ""),
        (Vertex(Kind.IDENTITY, "system:node:worker"), ""),
        (CLUSTER_ADMIN, ""),
    ],
)
def test_the_namespace_of_a_vertex(vertex: Vertex, expected: str) -> None:
    """Told by its name alone."""
    assert expected == vertex.namespace


def test_a_meter_paces_and_ends() -> None:
    """Requests come no faster than allowed, and no more of them; nor does the walk take longer."""
    time, pauses = [0.0], []

    def pause(seconds: float) -> None:
        pauses.append(round(seconds, 3))
        time[0] += seconds

    meter = Meter(Bounds(requests=3, per_second=5, seconds=10), clock=lambda: time[0], pause=pause)
    for _ in range(3):
        meter.request()
    assert ([0.2, 0.2], 3) == (pauses, meter.requests)
    with pytest.raises(BoundReached, match="3 requests"):
        meter.request()
    time[0] = 11
    with pytest.raises(BoundReached, match="10 seconds"):
        meter.check()


def test_edges_of_a_graph_are_what_they_are_named() -> None:
    """An edge's id is built from kind and ends alone, so that two runs can be compared."""
    assert "token-steal: container:web/shop/shop -> identity:system:serviceaccount:web:shop" == STEAL.id
    assert isinstance(STEAL, Edge)
    assert isinstance(graph(), Graph)
