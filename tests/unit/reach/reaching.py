"""Reachability that nobody measured: places and answers as a test wants them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pytest_k8ssec.evidence import Outcome, Source
from pytest_k8ssec.facts.policies.network import End, Peer
from pytest_k8ssec.machine.process import Completed
from pytest_k8ssec.reach.matrix import Reachability, Witnesses
from pytest_k8ssec.reach.measure import OUTCOMES, Dial, Row
from pytest_k8ssec.reach.places import Destination, Origin, Places

Says = Callable[[Origin, Destination], Outcome]
NODE = "node/worker"


class Nowhere:
    """A vantage that nobody enters."""

    def __init__(self, name: str) -> None:
        self.source = Source("pod", name, node="worker")

    def execute(self, argv: Sequence[str], stdin: bytes, deadline: float) -> Completed:
        """Never asked."""
        raise NotImplementedError


def peer(name: str, **labels: str) -> Peer:
    """A pod as policies see it; without labels it has its own name as one."""
    namespace, _, own = name.partition("/")
    worn = labels or ({} if own in ("*", "") else {"app": own})
    return Peer(namespace, {"kubernetes.io/metadata.name": namespace}, worn)


def origin(name: str, number: int = 1) -> Origin:
    """A place to send from; a node where it is called so."""
    if name == "outside":
        return Origin(name, End(""), Nowhere(name))
    if name.startswith("node/"):
        return Origin(name, End("172.18.0.2", name.removeprefix("node/")), Nowhere(name))
    address = f"10.244.{number // 250 + 100}.{number % 250}"
    return Origin(name, End(address, "worker", peer(name)), Nowhere(name), Dial(address, 8980))


def destination(name: str, port: int, number: int = 1, *, protocol: str = "TCP", service: bool = False) -> Destination:
    """A port of a pod, directly or by a Service in front of it; a node's where it is called so."""
    if name.startswith("node/"):
        end = End("172.18.0.2", name.removeprefix("node/"))
        return Destination(name, "node", Dial(end.address, port), port, "the node", (end,))
    address = f"10.244.{number // 250}.{number % 250}"
    end = End(address, "worker", peer(name))
    dial = Dial(address, port, protocol)  # type: ignore[arg-type]  # tests name the three
    if service:
        return Destination(name, "service", Dial(f"10.96.0.{number}", 80), port, f"Service {name}", (end,), (dial,))
    return Destination(name, "pod", dial, port, f"pod {name.partition('/')[2]}-0", (end,))


def reach(
    origins: Sequence[str],
    destinations: Sequence[Destination],
    says: Says,
    *,
    policies: Sequence[dict[str, Any]] = (),
    witness: str = NODE,
    linked: bool = True,
    broken: Sequence[str] = (),
) -> Reachability:
    """What was measured, where each source got the answers that ``says`` gives.

    Args:
        witness: who reached everything meanwhile; "" for nobody but the sources themselves.
        broken: sources that told nothing.
    """
    places = Places(tuple(origin(name, at) for at, name in enumerate(origins, 1)), tuple(destinations), tuple(policies))
    witnesses = Witnesses()
    rows = []
    for each in places.origins:
        asked = [places.destinations[at] for at in places.asked(each)]
        answers = [Outcome.ERROR if each.name in broken else says(each, one) for one in asked]
        row = Row(
            bytearray(OUTCOMES.index(answer) for answer in answers),
            array("f", [1.5] * len(answers)),
            {},
            10.0,
            11.0,
            f"{each.name}: exec was refused" if each.name in broken else "",
            at=1_900_000_000.123,
        )
        witnesses.saw([one.dial for one in asked], row, each.name)
        rows.append(row)
    if witness:
        everything = Row(bytearray(len(destinations)), array("f"), {}, 0.0, 20.0)
        witnesses.saw([each.dial for each in destinations], everything, witness)
    links = tuple(NODE if linked else "" for _ in rows)
    return Reachability(places, tuple(rows), links, witnesses, 1.25, len(rows))


def only(*allowed: tuple[str, str]) -> Says:
    """These pairs of source and target are open, everything else is refused."""
    return lambda source, target: Outcome.OPEN if (source.name, target.name) in allowed else Outcome.REFUSED


def sampled(policies: Sequence[dict[str, Any]] = ()) -> Reachability:
    """Two sources of one class, of which one was measured: one target is open to it, and one is not."""
    targets = [destination("pay/api", 8080, 1), destination("pay/db", 5432, 2)]
    whole = reach(("web/shop", "web/cart"), targets, only(("web/shop", "pay/api")), policies=policies)
    sends, stands = whole.places.origins
    origins = (replace(sends, kin=0), replace(stands, kin=0, measured=False))
    nothing = Row.unknown(0, "", 10.0)
    return replace(whole, places=replace(whole.places, origins=origins, seed=7), rows=(whole.rows[0], nothing))
