"""One survey, its steps played by vantages that answer as they are told; propagation; what the kernel lost."""

from __future__ import annotations

import json
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import Outcome, Source
from pytest_k8ssec.facts.policies.network import End
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.probes.nodes_in_reach import NodesInReach
from pytest_k8ssec.reach import survey as module
from pytest_k8ssec.reach.matrix import Reachability
from pytest_k8ssec.reach.measure import MANNER, Dial, Row
from pytest_k8ssec.reach.packet_loss import losses, lost, uncounted
from pytest_k8ssec.reach.places import Origin, Places
from pytest_k8ssec.reach.pod_identity import life
from pytest_k8ssec.reach.propagation import Delay, Propagation, Stream, measured
from pytest_k8ssec.reach.survey import Survey
from tests.unit.reach.reaching import destination, origin

API = destination("pay/api", 8080, 1)
WORKER = "node/worker"
NOW = time.monotonic


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel is asked what it lost, and whatever agrees in the end does so before patience ends."""
    monkeypatch.setattr(module, "SETTLE_SECONDS", 30)
    monkeypatch.setattr(module, "losses", lambda _cluster: {})


@dataclass
class Played:
    """A vantage that answers each of its execs by a function of the dial and the exec's number."""

    name: str
    says: Callable[[str, int], str]
    asked: list[list[str]] = field(default_factory=list)

    @property
    def source(self) -> Source:
        """As evidence names it."""
        return Source("pod", self.name)

    def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:
        """Sweep."""
        told = json.loads(stdin.splitlines()[-1])
        dials = [f"{host}:{port}" for host, port, _ in told["targets"]]
        self.asked.append(dials)
        lines: list[Any] = [[at, self.says(dial, len(self.asked)), 1.0, ""] for at, dial in enumerate(dials)]
        lines.append({"end": told["nonce"], "count": len(dials)})
        return Completed(tuple(argv), 0, "\n".join(map(json.dumps, lines)).encode(), b"")


def surveyed(
    node: Callable[[str, int], str],
    pod: Callable[[str, int], str],
    *policies: dict[str, Any],
    born: Callable[[], float] = lambda: float("-inf"),
) -> tuple[Reachability, Played, Played]:
    """What came of a survey of one pod that sends, one node and one target."""
    sends, runs = Played("elsewhere", pod), Played(WORKER, node)
    places = Places(
        (replace(origin("elsewhere"), vantage=sends), replace(origin(WORKER), vantage=runs)),
        (API,),
        policies,
        born=born(),
    )
    return Survey(places, MANNER, lambda _origin, _row: None).take(), runs, sends


DENY = {"metadata": {"name": "deny", "namespace": "pay"}, "spec": {"podSelector": {}}}


def test_a_wall_stands_between_two_moments_at_which_the_listener_was_there() -> None:
    """The node reaches it before and after, and the source itself, whose network is thereby shown to work."""
    found, runs, sends = surveyed(lambda *_: "open", lambda *_: "refused", DENY)
    (cell,) = found.between("elsewhere", "pay/api")
    assert ("blocked", WORKER) == (cell.verdict, cell.proof)
    listener = origin("elsewhere").listener
    assert listener is not None
    mine = f"{listener.host}:{listener.port}"
    assert [["10.244.0.1:8080", mine]] * 2 == runs.asked
    assert 1 == len(sends.asked)
    assert 3 == found.execs


def test_a_listener_that_died_meanwhile_is_no_wall() -> None:
    """It was there before; afterwards it is not."""
    found, _, _ = surveyed(
        lambda dial, turn: "refused" if turn == 2 and dial.endswith(":8080") else "open", lambda *_: "refused", DENY
    )
    (cell,) = found.between("elsewhere", "pay/api")
    assert "unknown" == cell.verdict


def test_a_listener_that_died_within_a_row_is_no_wall() -> None:
    """A row is long: who reached it at its beginning shows nothing of its end, where the last look finds nobody there."""
    runs = Played(WORKER, lambda dial, turn: "refused" if turn == 2 and dial.endswith(":8080") else "open")
    both = threading.Barrier(2, timeout=60)

    def beside(answer: str) -> str:
        both.wait()  # their rows overlap
        return answer

    origins = (
        replace(origin("web/a", 1), vantage=Played("web/a", lambda *_: beside("open"))),
        replace(origin("web/b", 2), vantage=Played("web/b", lambda *_: beside("refused"))),
        replace(origin(WORKER), vantage=runs),
    )
    found = Survey(Places(origins, (API,), ()), MANNER, lambda _origin, _row: None).take()
    (cell,) = found.between("web/b", "pay/api")
    assert ("unknown", "") == (cell.verdict, cell.proof)


def test_a_last_look_that_breaks_shows_nothing() -> None:
    """Nobody knows then what still listens."""
    found, _, _ = surveyed(lambda _, turn: "open" if turn == 1 else "error", lambda *_: "refused", DENY)
    assert {"unknown"} == {cell.verdict for cell in found.between("elsewhere", "pay/api")}


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, "blocked"),
        ({"uid": "other"}, "unknown"),
        ({"address": "10.244.0.9"}, "unknown"),
        ({"restarts": 1}, "unknown"),
        ({"since": "2026-01-01T00:00:09Z"}, "unknown"),
    ],
    ids=["the-same", "another", "moved", "restarted", "started-anew"],
)
@pytest.mark.parametrize("service", [False, True])
def test_a_pod_that_is_another_one_in_the_end_witnesses_nothing(
    change: dict[str, Any], verdict: str, *, service: bool
) -> None:
    """Whoever reached it may have reached the one before."""
    target = destination("pay/api", 8080, 1, service=service)
    dial = API.dial
    api = PodsOf(living(**change))
    places = Places(
        (
            replace(origin("elsewhere"), vantage=Played("elsewhere", lambda *_: "refused")),
            replace(origin(WORKER), vantage=Played(WORKER, lambda *_: "open")),
        ),
        (target,),
        (DENY,),
        lives={dial: frozenset({life(living())})},
    )
    found = Survey(places, MANNER, lambda _origin, _row: None, cluster=cast("Cluster", api)).take()
    (cell,) = found.between("elsewhere", "pay/api")
    assert verdict == cell.verdict
    assert ["/api/v1/namespaces/pay/pods"] == api.asked


def living(
    uid: str = "u", address: str = "10.244.0.1", restarts: int = 0, since: str = "2026-01-01T00:00:00Z"
) -> dict[str, Any]:
    """A pod as the API server tells of it."""
    run = {"name": "c", "restartCount": restarts, "state": {"running": {"startedAt": since}}}
    return {"metadata": {"uid": uid}, "status": {"podIP": address, "containerStatuses": [run]}}


@dataclass
class PodsOf:
    """An API server that has one pod."""

    pod: dict[str, Any]
    asked: list[str] = field(default_factory=list)

    @property
    def api(self) -> PodsOf:
        """Itself."""
        return self

    def list(self, path: str) -> list[dict[str, Any]]:
        """That pod."""
        self.asked.append(path)
        return [self.pod]


def test_a_source_that_its_node_does_not_reach_tells_of_no_wall() -> None:
    """It may be cut off by a fault."""
    found, _, _ = surveyed(
        lambda dial, _: "open" if dial.endswith(":8080") else "no-answer", lambda *_: "no-answer", DENY
    )
    (cell,) = found.between("elsewhere", "pay/api")
    assert ("unknown", True) == (cell.verdict, "own network" in cell.why)


def test_a_new_pod_is_asked_again_until_the_policies_have_reached_it() -> None:
    """An engine takes a moment to know a pod: what comes after counts, once it was so twice, and it is noted."""
    found, _, sends = surveyed(lambda *_: "open", lambda _, turn: "open" if turn < 3 else "refused", DENY, born=NOW)
    assert 4 == len(sends.asked)
    assert found.between("elsewhere", "pay/api").is_blocked()
    assert ["elsewhere"] == [note.rpartition(": ")[2] for note in found.notes]


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What never comes to be as the policies say is told as it is."""
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.2)
    found, _, sends = surveyed(lambda *_: "open", lambda *_: "open", DENY, born=lambda: NOW() + 0.5)
    assert not found.as_policies_say()
    assert len(sends.asked) > 1
    assert () == found.notes


def test_what_was_there_long_ago_is_not_excused() -> None:
    """A policy that holds only now and then is a hole: one agreement does not close it."""
    found, _, sends = surveyed(lambda *_: "open", lambda _, turn: "open" if turn == 1 else "refused", DENY)
    assert 1 == len(sends.asked)
    assert not found.as_policies_say()


def test_an_agreement_that_does_not_last_is_none() -> None:
    """What is open when it is asked once more stays open."""
    answers = {1: "open", 2: "refused", 3: "open"}
    found, _, sends = surveyed(lambda *_: "open", lambda _, turn: answers.get(turn, "refused"), DENY, born=NOW)
    assert 3 == len(sends.asked)
    assert not found.as_policies_say()
    assert ["as the policies say only now and then: elsewhere"] == list(found.notes)


def test_where_nothing_is_blocked_the_listener_is_not_asked_for_again() -> None:
    """One connection more than is needed is one too many."""
    _, runs, _ = surveyed(lambda *_: "open", lambda *_: "open")
    assert 1 == sum("10.244.0.1:8080" in asked for asked in runs.asked)


def test_a_source_without_a_node_vouches_for_itself_by_what_it_reaches() -> None:
    """Where no node can be entered; its own address is not the network."""
    source = Played("elsewhere", lambda dial, _: "open" if ":8080" in dial else "refused")
    other = destination("pay/db", 5432, 2)
    alone = Origin("elsewhere", End("10.244.0.1"), source)
    for target, expected in ((API, ""), (destination("pay/web", 8080, 3), "elsewhere")):
        found = Survey(Places((alone,), (target, other), (DENY,)), MANNER, lambda _origin, _row: None).take()
        assert (expected,) == found.links


def test_what_the_kernel_lost_takes_silence_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full table drops packets: no answer then says nothing, a refusal still does."""
    counted = iter([{"arp_cache table_fulls": 3}, {"arp_cache table_fulls": 5}])
    monkeypatch.setattr(module, "losses", lambda _cluster: next(counted))
    found, _, _ = surveyed(lambda *_: "open", lambda *_: "no-answer", DENY)
    (cell,) = found.between("elsewhere", "pay/api")
    assert (Outcome.ERROR, "unknown") == (cell.outcome, cell.verdict)
    assert "kernel lost packets meanwhile: arp_cache table_fulls rose by 2" in str(cell)
    assert found.notes


def test_losses_are_read_as_the_kernel_counts_them(tmp_path: Path) -> None:
    """Hexadecimal, a line a processor; what is not there is not nothing."""
    (tmp_path / "arp_cache").write_text("entries  table_fulls\n0000002e 0000000a\n0000002e 00000001\n")
    counted = losses(directory=tmp_path)
    assert (11, None) == (counted["arp_cache table_fulls"], counted["nf_conntrack drop"])
    assert "" == lost({"a": 1}, {"a": 1, "b": 9})
    assert "" == lost({"a": None}, {"a": 1})
    assert "a rose by 2" == lost({"a": 1}, {"a": 3})
    assert "b, c" == uncounted({"a": 1, "c": None}, {"a": 1, "b": None, "c": 2})


def test_counters_of_many_nodes_that_can_not_be_read_are_told_in_short() -> None:
    """There are two for each node that can't be entered."""
    unread = {f"c{number}": None for number in range(1000)}
    assert "c0, c1, c2, c3, c4, c5 and 994 more" == uncounted(unread, unread)


def test_the_nodes_connections_are_counted_where_they_are(tmp_path: Path) -> None:
    """In their own network namespaces; a node that can't be entered is not counted, and that is told."""
    nodes = Nodes({"w": "entries drop early_drop\n1 0 0\n1 a 2\n"})
    counted = losses(cast("Cluster", nodes), tmp_path)
    assert (10, 2) == (counted["node w nf_conntrack drop"], counted["node w nf_conntrack early_drop"])
    assert {None} == {counted["node shut nf_conntrack drop"], counted["node broken nf_conntrack drop"]}


@dataclass
class Nodes:
    """A cluster of three nodes: one that can be entered, one that can not, one on which it breaks."""

    told: dict[str, str]
    nodes: Sequence[Node] = (
        Node("w", "172.18.0.3", True, "c"), Node("shut", "172.18.0.4", False), Node("broken", "172.18.0.5", False, "d"),
    )  # fmt: skip

    def on_node(self, node: Node, argv: Sequence[str]) -> Completed:
        """Its file."""
        assert ["cat", "/proc/net/stat/nf_conntrack"] == argv
        if node.name not in self.told:
            raise ProbeError("cat: no such file")
        return Completed(tuple(argv), 0, self.told[node.name].encode(), b"")


def test_what_could_not_be_counted_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is then believed, and nobody need believe it blindly."""
    monkeypatch.setattr(module, "losses", lambda _cluster: {"node w nf_conntrack drop": None})
    found, _, _ = surveyed(lambda *_: "open", lambda *_: "refused", DENY)
    assert ["whether the kernel lost packets is not known in full: node w nf_conntrack drop can't be read"] == list(
        found.notes
    )


# Propagation


def stream(*lines: Any, old: str = "open") -> Stream:
    """A stream that has heard these lines."""
    made = Stream(old=old)  # type: ignore[arg-type]  # the two states
    made.hear("".join(f"{json.dumps(line)}\n" for line in lines).encode())
    return made


def test_a_delay_goes_from_the_change_to_the_first_connection_of_the_new_kind() -> None:
    """By when connections began: one that is silent ends later than it was stopped."""
    found = stream([0, "open", 1], [5, "open", 6], [10, "open", 11], [20, "refused", 21], [15, "no-answer", 515])
    found.offset = 100.0
    delay = measured(found, 100.008, "blocked")
    assert Delay("blocked", 7.0, 5.0, 5) == delay
    assert "blocked after 7 ms (within 5 ms)" == str(delay)


def test_the_last_of_the_old_kind_counts() -> None:
    """A change that is taken back, and comes again, is there when it stays."""
    found = stream([0, "open", 1], [5, "refused", 6], [10, "open", 11], [15, "refused", 16])
    found.offset = 0.0
    assert 15.0 == measured(found, 0.0, "blocked").milliseconds


def test_a_broken_connection_is_neither_kind() -> None:
    """It moves neither edge."""
    found = stream([0, "open", 1], [5, "error", 6], [10, "refused", 11])
    found.offset = 0.0
    assert (10.0, 10.0) == (measured(found, 0.0, "blocked").milliseconds, measured(found, 0.0, "blocked").uncertainty)


def test_what_never_changes_is_an_error() -> None:
    """No figure."""
    with pytest.raises(ProbeError, match="did not take effect within"):
        measured(stream([0, "open", 1]), 0.0, "blocked")


def test_a_stream_waits_for_the_old_state_and_takes_lines_as_they_come() -> None:
    """Cut anywhere; five of the old kind before the change is made."""
    made = Stream(old="open")
    for piece in (b'[0,"op', b'en",1]\n[5,"refused",6]\n', b'[10,"open",11]\n' * 3):
        made.hear(piece)
        assert not made.arrived.is_set()
    made.hear(b'[25,"open",26]\n{"end":"n","count":6}\n')
    assert made.arrived.is_set()
    assert ("n", 6) == (made.nonce, len(made.tries))
    with pytest.raises(ProbeError):
        made.hear(b"what?\n")


def test_rounds_are_told_by_their_middle_and_their_ends() -> None:
    """One figure would hide how far they lie apart."""
    delays = tuple(Delay("blocked", taken, 5, 30) for taken in (40.0, 11.0, 76.0))
    assert "policy enforced after 40 ms (11 to 76, 3 times), lifted after 11 ms (11 to 11, 1 times)" == str(
        Propagation(delays, delays[1:2])
    )


def test_a_row_takes_answers_back() -> None:
    """With the reason."""
    row = Row(bytearray([0]), array("f", [1.0]), {}, 0, 1)
    row.forget(0, "lost")
    assert (Outcome.ERROR, "lost") == (row.outcome(0), row.details[0])
    assert "UDP [fd00::1]:53" == str(Dial("fd00::1", 53, "UDP"))


def test_no_pod_shows_the_way_to_a_node_that_answers_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is asked for: to find out that it can't be entered takes half a minute, on each of hundreds of nodes."""
    near, far = (Node(name, "", control_plane=False) for name in ("near", "far"))
    monkeypatch.setattr(module, "nodes_in_reach", lambda _pool: NodesInReach((near,), (far,), None))
    monkeypatch.setattr(module, "census", lambda *_: None)
    taken: list[Any] = []

    class Taking:
        def __init__(self, *given: Any) -> None:
            taken.append(given[-1])

        def take(self) -> None:
            """Nothing is measured."""

    monkeypatch.setattr(module, "Survey", Taking)
    leased: list[str] = []

    class Pods:
        def namespace(self, purpose: str) -> str:
            """One of ours."""
            return purpose

        def lease(self, spec: PodSpec) -> list[str]:
            """A pod."""
            leased.append(spec.node)
            return ["pod"]

    module.survey(cast("Any", None), cast("Any", None), cast("Any", Pods()))
    (beacon,) = taken
    assert "pod" == beacon("near")
    with pytest.raises(ProbeError, match="node far: its kubelet answers nobody"):
        beacon("far")
    assert ["near"] == leased
