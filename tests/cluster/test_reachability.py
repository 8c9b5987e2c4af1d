"""Who reaches whom on stacks/hardened: measured, compared, broken on purpose, and at scale."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_k8ssec.agent.vantage import PodVantage
from pytest_k8ssec.clusters.kind import KindCluster
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import STOPPED, Outcome, Source
from pytest_k8ssec.facts.listening_ports import listening_ports
from pytest_k8ssec.facts.policies.table import ANSWERS, PolicyTable
from pytest_k8ssec.pods.manifests import CANARY_PORT, PodSpec
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.policy_enforcement import allow_all_ingress
from pytest_k8ssec.reach.difference import differences
from pytest_k8ssec.reach.find_places import census
from pytest_k8ssec.reach.intent import load
from pytest_k8ssec.reach.job import sharded
from pytest_k8ssec.reach.matrix import Reachability
from pytest_k8ssec.reach.measure import MANNER, Dial, Row, measure, measure_from
from pytest_k8ssec.reach.places import Origin
from pytest_k8ssec.reach.propagation import propagation
from pytest_k8ssec.reach.survey import Survey, survey
from pytest_k8ssec.stack import Stack
from tests.cluster.crowd import PAIR, PORTS, Member, crowd

INTENT = Path(__file__).parents[2] / "stacks" / "hardened" / "intent.yaml"
CROWD = 100


def test_everything_is_as_the_policies_say(reachability: Reachability) -> None:
    """Each connection, by each way, and nothing of it unknown."""
    assert [] == [str(cell) for cell in reachability.cells() if cell.verdict == "unknown"]
    assert reachability.as_policies_say()
    assert {"pod", "service", "name", "node"} == {cell.destination.way for cell in reachability.cells()}


def test_the_intent_holds(reachability: Reachability) -> None:
    """What stacks/hardened declares is open, and nothing else is."""
    assert reachability.nothing_else_than(INTENT)
    assert [] == [str(each) for each in differences(reachability, load(INTENT))]


def test_questions_about_the_platform(reachability: Reachability) -> None:
    """As a user would ask them."""
    assert reachability.to("payments/api", 8080).only_from("web/storefront")
    assert reachability.to("payments/ledger").only_from("payments/api")
    assert reachability.between("web", "payments/ledger").is_blocked()
    assert reachability.between("batch/reporter", "payments/api", 8081).is_open()
    assert not reachability.between("web/storefront", "payments/api").is_blocked()


def test_one_exec_a_source(reachability: Reachability) -> None:
    """And one more for each machine that shows what still listens; more only where policies were late."""
    late = any("as the policies say only" in note for note in reachability.notes)
    assert late or reachability.execs <= 2 * len(reachability.origins) + len(reachability.places.origins)


def test_a_policy_too_many_is_found_and_named(cluster: KindCluster, stack: Stack, pool: Pool) -> None:
    """Policies add up: one that lets everybody in opens the ledger, and the questions say to whom."""
    with cluster.api.applied(allow_all_ingress("payments")):
        found = survey(cluster, stack, pool)
        wrong = found.to("payments/ledger", 9000).only_from("payments/api")
        assert not wrong
        assert "elsewhere" in {cell.origin.name for cell in wrong.culprits}
        assert "elsewhere -> payments/ledger:9000/TCP" in str(wrong)
        undeclared = [each for each in differences(found, load(INTENT)) if each.kind == "undeclared"]
        assert ("elsewhere", "payments/ledger:9000/TCP") in {(each.origin, each.subject) for each in undeclared}
        assert found.between("elsewhere", "web").is_blocked()
        assert found.as_policies_say()
    assert survey(cluster, stack, pool).nothing_else_than(INTENT)


def test_what_is_broken_is_unknown(cluster: KindCluster, stack: Stack, pool: Pool) -> None:
    """A port where nobody listens, a name that is none, a source that is gone: none of them is a wall."""
    places = census(cluster, stack, pool)
    api = next(
        each for each in places.destinations if (each.name, each.port, each.way) == ("payments/api", 8080, "pod")
    )
    dead = replace(api, port=9, dial=Dial(api.dial.host, 9), words="where nobody listens")
    nameless = replace(api, way="name", dial=Dial("nobody.payments.svc", 8080), words="a name that is none")
    vantage = PodVantage(cluster, "payments", "gone", "probe", Source("pod", "payments/gone"))
    gone = Origin("payments/gone", places.origins[0].end, vantage)
    broken = replace(places, origins=(*places.origins, gone), destinations=(api, dead, nameless))
    found = Survey(broken, MANNER, lambda _origin, _row: None).take()
    for cell in found.cells():
        if cell.destination is not api or cell.origin is gone:
            assert "unknown" == cell.verdict, str(cell)
    assert "blocked" == next(cell.verdict for cell in found.between("elsewhere", "payments/api", 8080))
    with pytest.raises(ProbeError, match="can't be told"):
        bool(found.between("elsewhere", "*").is_blocked())
    with pytest.raises(ProbeError, match="can't be told"):
        bool(found.between("payments/gone", "payments/api").is_blocked())


def test_a_broken_way_between_nodes_is_no_wall(cluster: KindCluster, stack: Stack, pool: Pool) -> None:
    """Nothing gets from the control plane to the worker's pods, policies or not: what is silent there is unknown."""
    (plane,), (worker,) = ([each for each in cluster.nodes if each.control_plane is one] for one in (True, False))
    network = cluster.api.get(f"/api/v1/nodes/{worker.name}")["spec"]["podCIDR"]
    # A rule, as the network plugin would fix a route.
    rule = ["to", network, "pref", "10", "unreachable"]
    cluster.on_node(plane, ["ip", "rule", "add", *rule])
    try:
        found = survey(cluster, stack, pool)
    finally:
        cluster.on_node(plane, ["ip", "rule", "del", *rule])
    cells = [cell for cell in found.between(f"node/{plane.name}", "*") if cell.destination.way == "pod"]
    assert cells
    assert {"unknown"} == {cell.verdict for cell in cells}
    assert f"nothing shows that packets get from {plane.name} to pods on {worker.name}" in found.notes
    assert "blocked" == next(cell.verdict for cell in found.between("web/storefront", "payments/ledger"))


def test_protocols_are_told_apart(cluster: KindCluster, pool: Pool) -> None:
    """A datagram is open by its answer; what the node sees listening is what can be reached; SCTP is unknown without it."""
    home = pool.namespace("reach")
    source, target = pool.lease(PodSpec(home, purpose="reach"), PodSpec(pool.namespace("canary"), purpose="canary"))
    pod = cluster.api.get(f"/api/v1/namespaces/{target.vantage.namespace}/pods/{target.vantage.pod}")
    assert {(CANARY_PORT, "TCP"), (CANARY_PORT, "UDP")} == set(listening_ports(cluster, [pod])[target.uid])
    row = measure_from(
        source.vantage,
        [
            Dial(target.address, CANARY_PORT, "TCP"),
            Dial(target.address, CANARY_PORT, "UDP"),
            Dial(target.address, 9, "UDP"),
            Dial(target.address, CANARY_PORT, "SCTP"),
        ],
    )
    tcp, udp, closed, sctp = (row.outcome(number) for number in range(4))
    assert [Outcome.OPEN, Outcome.OPEN, Outcome.REFUSED] == [tcp, udp, closed], row
    assert Outcome.OPEN is not sctp


def test_how_long_a_policy_takes(pool: Pool, tell: Callable[[str], None]) -> None:
    """In milliseconds, from the API server's answer to the first connection that it stops, and back."""
    found = propagation(pool, rounds=2)
    tell(str(found))
    for each in (*found.applied, *found.removed):
        # A policy may be in force a little before its answer has come.
        assert -1000 < each.milliseconds < 30_000
        assert 0 < each.uncertainty < 1000


@pytest.fixture(scope="module")
def members(pool: Pool) -> Iterator[list[Member]]:
    """A hundred pods."""
    with crowd(pool, CROWD) as made:
        assert CROWD == len(made)
        yield made


def test_a_hundred_pods_are_measured(members: list[Member], tell: Callable[[str], None]) -> None:
    """100 sources, 100 targets, two ports: 20,000 connections in 100 execs, each of them right."""
    rows, took = _measured(members)
    assert {Outcome.OPEN} == {row.outcome(number) for row in rows.values() for number in range(CROWD * len(PAIR))}
    assert [] == [row.broken for row in rows.values() if row.broken]
    tell(f"{CROWD} x {CROWD} x {len(PAIR)}, nothing denied: {took}")


def test_a_thousand_targets_are_shared_out(pool: Pool, members: list[Member], tell: Callable[[str], None]) -> None:
    """An Indexed Job of pods of one identity, each with its share; a target where nobody listens among them."""
    targets = [Dial(each.end.address, port) for each in members for port in PORTS]
    targets[500] = Dial(members[50].end.address, 9)
    started = time.monotonic()
    row = sharded(pool, PodSpec(pool.namespace("reach"), purpose="reach"), targets, per_shard=250)
    tell(f"{len(targets)} targets by an Indexed Job of 4 pods: {time.monotonic() - started:.1f} s")
    assert {} == {number: words for number, words in row.details.items() if number != 500}
    assert Outcome.REFUSED is row.outcome(500)
    assert len(targets) - 1 == sum(row.outcome(number) is Outcome.OPEN for number in range(len(targets)))


def test_a_hundred_pods_are_measured_behind_policies(
    pool: Pool, members: list[Member], tell: Callable[[str], None]
) -> None:
    """A third denied: every cell is as the policies compute, at both ports."""
    api, namespace = pool.cluster.api, pool.namespace("crowd")
    policy = {
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
    with api.applied(policy):
        ports = [(target.end, port, "TCP") for target in members for port in PAIR]
        table = PolicyTable([policy], [each.end for each in members], ports)
        _await(members, table)
        rows, took = _measured(members)
        wrong = [
            f"{source.vantage.source} to {target.address}:{port}: {row.outcome(number)}"
            for at, row in rows.items()
            for source, wanted in ((members[at], table.row(at)),)
            for number, (target, port, _) in enumerate(ports)
            if (row.outcome(number) is Outcome.OPEN) is not ANSWERS[wanted[number]]
            or row.outcome(number) not in {Outcome.OPEN, *STOPPED}
        ]
    assert [] == wrong[:10]
    denied = sum(row.outcome(number) in STOPPED for row in rows.values() for number in range(CROWD * len(PAIR)))
    tell(f"{CROWD} x {CROWD} x {len(PAIR)}, {denied} denied: {took}")


def _measured(members: list[Member]) -> tuple[dict[int, Row], str]:
    """The rows, and what they took."""
    started, own = time.monotonic(), time.process_time()
    rows = dict(measure([each.vantage for each in members], [dial for each in members for dial in each.dials]))
    took, spent = time.monotonic() - started, time.process_time() - own
    return rows, f"{took:.1f} s, {spent:.1f} s of the runner's CPU, load {os.getloadavg()[0]:.0f}"


def _await(members: list[Member], table: PolicyTable) -> None:
    """Until all nodes know the policy: one pod of each group on each node is as it should be."""
    probes = {
        (each.end.node, (each.end.pod or members[0].end.pod).labels["group"]): at  # type: ignore[union-attr]
        for at, each in enumerate(members)
    }
    dials = [dial for target in members for dial in target.dials]
    for at in probes.values():
        each, wanted = members[at], table.row(at)
        end = time.monotonic() + 30
        while True:
            row = measure_from(each.vantage, dials)
            right = [(row.outcome(number) is Outcome.OPEN) is ANSWERS[wanted[number]] for number in range(len(dials))]
            if all(right):
                break
            assert time.monotonic() < end, (
                f"{each.vantage.source}: {right.count(False)} connections are not as they should be"
            )
