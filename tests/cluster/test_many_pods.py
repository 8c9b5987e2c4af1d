"""Reachability of many pods on a real network: some of each class are measured, and what is told of the others is true.

K8SSEC_REACH_PODS says how many (default: 60, which `make test` does; `make test-reach` does 300).
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pytest_k8ssec.agent.vantage import PodVantage
from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.evidence import Outcome, Source
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.reach.cell import Cell
from pytest_k8ssec.reach.difference import differences
from pytest_k8ssec.reach.matrix import Reachability
from pytest_k8ssec.reach.measure import run_plan
from pytest_k8ssec.reach.sampling import LIMIT
from pytest_k8ssec.reach.survey import survey
from pytest_k8ssec.stack import Stack
from tests.cluster.crowd import PAIR, estate

PODS = int(os.environ.get("K8SSEC_REACH_PODS", "60"))
REPLICAS = 1 if PODS < 100 else 3
"""Of few pods each is a source of its own, so that there are more than are sampled."""
SEED = 20
PODS_NETWORK = "10.244.0.0/16"
"""What kind gives pods addresses from, if nobody says otherwise."""
LOOKED_AT = 12
"""Sources that were not measured, from whose real pods it is."""


@pytest.fixture(scope="module")
def many(pool: Pool) -> Iterator[Stack]:
    """The pods, of which vaults take only some."""
    with estate(pool, PODS, REPLICAS) as stack:
        policies = [
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"name": "vault", "namespace": namespace},
                "spec": {
                    "podSelector": {"matchLabels": {"group": "vault"}},
                    "ingress": [
                        {"from": [{"podSelector": {"matchLabels": {"group": "back"}}}]},
                        {"ports": [{"port": PAIR[1]}], "from": [{"podSelector": {"matchLabels": {"group": "front"}}}]},
                    ],
                },
            }
            for namespace in stack.namespaces
        ]
        with pool.cluster.api.applied(*policies):
            yield stack


@pytest.fixture(scope="module")
def measured(cluster: KindCluster, pool: Pool, many: Stack) -> Callable[[], Reachability]:
    """Measures, with the same seed each time."""
    return lambda: survey(cluster, many, pool, limit=min(LIMIT, PODS - 1), seed=SEED)


@pytest.fixture(scope="module")
def found(measured: Callable[[], Reachability]) -> Reachability:
    """As it is."""
    return measured()


def test_some_are_measured_and_the_others_are_by_class(found: Reachability, tell: Callable[[str], None]) -> None:
    """Nothing is unknown, nothing differs, and all of it is as the policies say."""
    tell(f"{PODS} pods: {found.seconds:.1f} s, {found.execs} execs; {found.extent}")
    assert (SEED, 0, ()) == (found.extent.seed, found.extent.untold, found.extent.unlike)
    assert found.extent.sources_by_class
    assert found.extent.targets_by_class
    assert [] == [str(cell) for cell in found.cells() if cell.verdict == "unknown"][:10]
    answer = found.as_policies_say()
    assert answer
    assert answer.by_class > 0
    counts = Counter((cell.verdict, cell.by_class) for cell in found.cells())
    assert all(counts[verdict, by_class] for verdict in ("open", "blocked") for by_class in (True, False)), counts
    nodes = {each.end.node for each in found.places.origins if each.measured and each.kin is not None}
    assert len(nodes) == len({each.end.node for each in found.places.origins if each.kin is not None}) > 1


def test_what_is_told_by_class_is_true(
    cluster: KindCluster, many: Stack, found: Reachability, tell: Callable[[str], None]
) -> None:
    """From real pods of sources that were not measured, to all that is told of them by class."""
    chance, started = random.Random(SEED), time.monotonic()
    pods = {
        (each["metadata"]["labels"]["member"], each["spec"]["nodeName"]): each
        for namespace in many.namespaces
        for each in cluster.api.list(f"/api/v1/namespaces/{namespace}/pods", labelSelector="member")
        if "k8ssec.dev/purpose" not in each["metadata"].get("annotations", {})
    }
    unsent = [each for each in found.places.origins if not each.measured]
    chosen = chance.sample(unsent, min(LOOKED_AT, len(unsent)))
    cells: dict[int, list[Cell]] = {}
    for cell in found.cells():
        if cell.by_class and cell.origin in chosen:
            cells.setdefault(chosen.index(cell.origin), []).append(cell)
    plan = []
    for at, mine in cells.items():
        pod = pods[chosen[at].name.partition("/")[2], chosen[at].end.node]
        meta, address = pod["metadata"], pod["status"]["podIP"]
        source = Source("pod", f"{meta['namespace']}/{meta['name']}", address, pod["spec"]["nodeName"])
        vantage = PodVantage(cluster, meta["namespace"], meta["name"], "server", source)
        mine[:] = [cell for cell in mine if cell.destination.dial.host != address]  # a pod always reaches itself
        plan.append((vantage, [cell.destination.dial for cell in mine]))
    rows = dict(run_plan(plan))
    wrong = [
        f"{cell}: really {row.outcome(number)}"
        for at, row in rows.items()
        for number, cell in enumerate(list(cells.values())[at])
        if (row.outcome(number) is Outcome.OPEN) is not (cell.verdict == "open")
    ]
    tried = sum(len(dials) for _, dials in plan)
    tell(f"{tried} connections by class tried from {len(plan)} real pods: {time.monotonic() - started:.1f} s")
    assert tried > LOOKED_AT
    assert [] == wrong[:10]


@contextmanager
def shut(cluster: KindCluster, cell: Cell, *sources: str) -> Iterator[None]:
    """A pod that others do not get through to, whatever policies say: as if its node had missed an update.

    Args:
        sources: an argument of iptables that says who is kept out; else all but the pod's own node are.
    """
    (end,) = cell.destination.ends
    (node,) = [each for each in cluster.nodes if each.name == end.node]
    rule = ["FORWARD", *sources, "-d", end.address, "-p", "tcp", "--syn", "-j", "REJECT", "--reject-with", "tcp-reset"]
    cluster.on_node(node, ["iptables", "-I", *rule])
    try:
        yield
    finally:
        cluster.on_node(node, ["iptables", "-D", *rule])


def one(found: Reachability, *, measured: bool) -> Cell:
    """An open connection to a pod of a class that has some who are measured, and some who are not."""
    kin = {each.kin for each in found.places.destinations if not each.measured}
    counts = Counter(each.kin for each in found.places.destinations if each.measured and each.kin in kin)
    return next(
        cell
        for cell in found.cells()
        if cell.origin.measured and cell.origin.kin is not None and cell.verdict == "open"
        if cell.destination.measured is measured and counts[cell.destination.kin] > 2
    )


def test_one_that_is_measured_and_behaves_otherwise_is_found(
    cluster: KindCluster, measured: Callable[[], Reachability], found: Reachability
) -> None:
    """It is named, and nothing is told by its class any more."""
    cell = one(found, measured=True)
    with shut(cluster, cell):
        now = measured()
    assert [each.measured for each in now.places.origins] == [each.measured for each in found.places.origins]
    assert [each.measured for each in now.places.destinations] == [each.measured for each in found.places.destinations]
    assert now.extent.unlike
    assert all(cell.destination.words in words for words in now.extent.unlike)
    assert "unlike-class" in {each.kind for each in differences(now)}
    rest = [each for each in now.cells() if each.destination.kin == cell.destination.kin and not each.measured]
    assert rest
    assert {"unknown"} == {each.verdict for each in rest}
    assert all("its class can't be trusted" in str(each) for each in rest)


def test_one_that_is_not_measured_is_not_said_to_be(
    cluster: KindCluster, measured: Callable[[], Reachability], found: Reachability
) -> None:
    """Its class answers for it, which is wrong here, and is not said to be more than that."""
    cell = one(found, measured=False)
    with shut(cluster, cell, "-s", PODS_NETWORK):
        now = measured()
    mine = [each for each in now.cells() if each.destination.dial == cell.destination.dial and each.origin.end.pod]
    assert mine
    assert not [str(each) for each in mine if each.measured]
    assert () == now.extent.unlike
    assert all("not measured" in str(each) for each in mine)


def test_one_that_is_not_measured_is_found_where_a_node_notices(
    cluster: KindCluster, measured: Callable[[], Reachability], found: Reachability
) -> None:
    """Nodes connect to everything: what keeps another node out as well is no secret."""
    cell = one(found, measured=False)
    with shut(cluster, cell):
        now = measured()
    assert now.extent.unlike
    assert all(words.startswith("node/") and cell.destination.words in words for words in now.extent.unlike)
    mine = [each for each in now.cells() if each.destination.dial == cell.destination.dial and not each.measured]
    assert {"unknown"} == {each.verdict for each in mine}
