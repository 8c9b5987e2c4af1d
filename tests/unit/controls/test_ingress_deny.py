"""Who gets in over UDP: an answer is a breach, and what answers nobody is neither held nor breached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.controls.net import ingress_deny
from pytest_k8ssec.controls.net.ingress_deny import test_net_ingress_deny as denies
from pytest_k8ssec.evidence import Outcome, Source
from pytest_k8ssec.facts.listening_ports import Target, protocol_suffix
from pytest_k8ssec.facts.policies.kinds import OtherPolicies
from pytest_k8ssec.facts.policies.network import Labels
from pytest_k8ssec.pods.pool import Pod
from pytest_k8ssec.stack import Workload
from pytest_k8ssec.verdict import Judge, Verdict
from tests.unit.fakes import FakeVantage, evidence, judge_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_k8ssec.clusters.interface import Cluster
    from pytest_k8ssec.pods.manifests import PodSpec
    from pytest_k8ssec.pods.pool import Pool
    from pytest_k8ssec.reach.sampling import Sampling
    from pytest_k8ssec.stack import Stack

OPEN, SILENT, REFUSED = Outcome.OPEN, Outcome.NO_ANSWER, Outcome.REFUSED
DNS = Workload("Deployment", "web", "dns", {}, {}, {})
SHOP = Workload("Deployment", "web", "shop", {"app": "shop"}, {}, {})


NODES = tuple(Node(name, "10.0.0.2", control_plane=False, container=name) for name in ("n0", "n1"))


@dataclass
class World:
    """A stack of one workload, which listens on 53 by both protocols; its own cluster and pool."""

    stranger: Outcome
    """What a stranger's datagram meets; a connection of theirs is refused."""
    from_node: Outcome
    open_from: str = ""
    """The only node that an open port is open to; "" for all."""
    wears: tuple[str, ...] = ()
    others: OtherPolicies = field(default_factory=OtherPolicies)
    """Policies of other kinds."""
    wore: list[Mapping[str, Labels]] = field(default_factory=list)
    """Whose labels might be worn, each time that this was decided."""
    deployed = False
    nodes = NODES

    @property
    def cluster(self) -> World:
        """Itself."""
        return self

    def remember(self, _what: str, find_out: Callable[[], Any]) -> Any:
        """Found out each time."""
        return find_out()

    @property
    def api(self) -> None:
        """Nobody asks it."""

    def workloads(self) -> tuple[Workload, ...]:
        """Two."""
        return (DNS, SHOP)

    def worn(self, clients: Mapping[str, Labels], *_: object) -> tuple[dict[str, Labels], str]:
        """What `wears` says in the end."""
        self.wore.append(clients)
        return {who: {"app": who} for who in self.wears}, ""

    def namespace(self, name: str) -> str:
        """One of ours."""
        return name

    def lease(self, *specs: PodSpec) -> list[Pod]:
        """A pod for each, on its node."""
        sources = [
            Source("pod", f"k8ssec/{number}", "10.244.0.7", spec.node or "n0") for number, spec in enumerate(specs)
        ]
        return [Pod(cast("Any", FakeVantage(partial(self.said, source), source)), "uid", "n") for source in sources]

    def said(self, source: Source, task: dict[str, Any]) -> dict[str, Any]:
        """The canary answers."""
        if task["port"] == 8980:
            return {"outcome": "open"}
        is_open = task["op"] == "udp" and self.open_from in ("", source.node)
        return {"outcome": str(self.stranger if is_open else REFUSED)}

    def judge(self, monkeypatch: pytest.MonkeyPatch) -> Judge:
        """What comes of it."""

        def found(*_: object, protocols: tuple[str, ...]) -> list[Target]:
            return [
                Target(DNS, "dns-1", "10.244.0.5", 53, "n0", f"web/dns:53{protocol_suffix(each)}", each)
                for each in protocols
            ]

        said = {"TCP": OPEN, "UDP": self.from_node}
        for name, value in {
            "targets": found,
            "enforces": lambda _: evidence(Outcome.DONE),
            "_policies": lambda *_: {},
            "_clients": lambda *_: {},
            "_labels": lambda *_: {},
            "worn": self.worn,
            "other_policies": lambda _: self.others,
            "prove_listening": lambda _, wanted, *__: {each: evidence(said[each.protocol]) for each in wanted},
        }.items():
            monkeypatch.setattr(ingress_deny, name, value)
        judge, none = judge_of(denies), cast("Any", None)
        denies(judge, cast("Cluster", self), cast("Stack", self), cast("Pool", self), none, {}, cast("Sampling", none))
        return judge


@pytest.mark.parametrize(
    ("stranger", "from_node", "expected"),
    [
        (OPEN, OPEN, Verdict.BREACHED),
        (SILENT, OPEN, Verdict.HELD),
        (REFUSED, OPEN, Verdict.HELD),
        (OPEN, SILENT, Verdict.BREACHED),
        (SILENT, Outcome.ERROR, Verdict.INCONCLUSIVE),
    ],
)
def test_an_answer_to_a_datagram_is_a_way_in(
    monkeypatch: pytest.MonkeyPatch, stranger: Outcome, from_node: Outcome, expected: Verdict
) -> None:
    """Although the connection to the same port is refused."""
    judge = World(stranger, from_node).judge(monkeypatch)
    assert expected is judge.verdict()[0]
    if expected is Verdict.BREACHED:
        assert {"web/dns-1 at 10.244.0.5:53/UDP"} == {each.case for each in judge.attacks if each.got_through}


def test_what_answers_nobody_is_told_and_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its case says that nothing is known; the others have their verdict."""
    judge = World(SILENT, SILENT).judge(monkeypatch)
    (told,) = judge.notes
    assert told.endswith("so no verdict: web/dns-1 at 10.244.0.5:53/UDP")
    tcp, udp = judge.cases
    assert (Verdict.HELD, Verdict.INCONCLUSIVE) == (tcp.verdict()[0], udp.verdict()[0])
    assert not udp.counts


@pytest.mark.parametrize("node", ["n0", "n1"])
def test_who_is_let_in_from_one_node_is_let_in(monkeypatch: pytest.MonkeyPatch, node: str) -> None:
    """A policy may name the addresses of one node's pods."""
    judge = World(OPEN, OPEN, open_from=node).judge(monkeypatch)
    assert [f"pod on {node}"] == [each.evidence.source.place for each in judge.attacks if each.got_through]


def test_a_source_that_nobody_asked_from_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bare from each node; labels are worn on whichever node."""
    world = World(REFUSED, OPEN, wears=("web/shop",))
    judge = world.judge(monkeypatch)
    assert Verdict.HELD is judge.verdict()[0]
    assert "6 of 8 combinations" in judge.coverage.words(judge.tried)
    whole = ingress_deny._sources
    for left_out, named in ((1, "labels bare"), (2, "labels web/shop")):

        def fewer(*told: Any, without: int = left_out) -> Any:
            sources, canary = whole(*told)
            return [each for number, each in enumerate(sources) if number != without], canary

        monkeypatch.setattr(ingress_deny, "_sources", fewer)
        verdict, reason = world.judge(monkeypatch).verdict()
        assert Verdict.INCONCLUSIVE is verdict
        assert reason.startswith(f"not tried: address 10.244.0.5, {named}, pod web/dns-1, port 53/TCP, source pod on n")


def test_where_other_kinds_of_policies_are_in_force_the_labels_of_all_are_worn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whom those let in no NetworkPolicy names; it is said."""
    plain = World(SILENT, OPEN)
    assert () == plain.judge(monkeypatch).notes
    assert [{}] == plain.wore
    world = World(SILENT, OPEN, others=OtherPolicies(strange=("CiliumNetworkPolicy (cilium.io)",)))
    (told,) = world.judge(monkeypatch).notes
    assert [{"Deployment web/dns": {}, "Deployment web/shop": {"app": "shop"}}] == world.wore
    assert told.endswith("the labels of every workload are worn: CiliumNetworkPolicy (cilium.io)")
