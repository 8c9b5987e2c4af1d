"""How long a policy takes from the API server's word to the wire, in milliseconds.

A pod of ours connects to another one every few milliseconds, in one exec whose answers come as they are given. Once the
old state has been seen the change is made, and nobody sleeps: the first connection after the last one of the old kind is
where it took effect. All moments are of this process's clock. The agent's own is only used for what lay between two of
its lines: it is set against ours by the line that was on its way for the shortest time.
"""

from __future__ import annotations

import json
import secrets
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from pytest_k8ssec.agent.vantage import program
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.errors import ProbeError
from pytest_k8ssec.evidence import STOPPED, Outcome
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.probes.policy_enforcement import ENFORCE_SECONDS
from pytest_k8ssec.reach.measure import LEAN, SWEEPER

State = Literal["open", "blocked"]
INTERVAL = 0.005
_TIMEOUT = 0.5
_SEEN = 5
"""Connections of the old kind before the change is made."""
_SETTLED = 20
"""Connections in a row of the new kind that make it so."""
_START_SECONDS = 10
_PAUSE = 0.5
"""Between two tries on a cluster that comes back, in seconds: a pod whose node is not yet heard of refuses at once."""


@dataclass(frozen=True, slots=True)
class Delay:
    """How long one change took."""

    became: State
    milliseconds: float
    """From the API server's answer to the beginning of the first connection that came out as the change has it. Below
    zero where the network was quicker than the answer."""
    uncertainty: float
    """Milliseconds between that connection and the last one of the old kind, both at their beginning."""
    connections: int

    def __str__(self) -> str:
        return f"{self.became} after {self.milliseconds:.0f} ms (within {self.uncertainty:.0f} ms)"


@dataclass(slots=True)
class Stream:
    """The agent's lines as they come, each with the moment at which it came."""

    pending: bytes = b""
    tries: list[tuple[float, State | None]] = field(default_factory=list)
    """When it began, by the agent's clock in seconds, and what it came to; None for a broken one."""
    offset: float = float("inf")
    """What makes the agent's clock ours: that of the line that came quickest."""
    nonce: str = ""
    """Of the closing line."""
    old: State = "open"
    arrived: threading.Event = field(default_factory=threading.Event)
    """Set once the old state was seen often enough."""

    def hear(self, chunk: bytes) -> None:
        """Take in what came now."""
        moment = time.monotonic()
        *lines, self.pending = (self.pending + chunk).split(b"\n")
        for line in lines:
            try:
                told = json.loads(line)
                if isinstance(told, dict):
                    self.nonce = str(told["end"])
                    continue
                began, outcome, ended = told
                state = _state(Outcome(outcome))
                self.offset = min(self.offset, moment - ended / 1000)
            except (ValueError, KeyError, TypeError):
                raise ProbeError("watch: the agent answered with something that is no answer") from None
            self.tries.append((began / 1000, state))
        if sum(state == self.old for _, state in self.tries) >= _SEEN:
            self.arrived.set()


def _state(outcome: Outcome) -> State | None:
    if outcome is Outcome.OPEN:
        return "open"
    return "blocked" if outcome in STOPPED else None


def delay(source: Pod, target: Pod, change: Callable[[], object], became: State) -> Delay:
    """Make a change while one pod connects to another, and tell how long it took until it was so.

    Raises:
        ProbeError: it was so before, it never came to be so, or the agent broke.
    """
    stream = Stream(old="blocked" if became == "open" else "open")
    nonce = secrets.token_hex(8)
    told = {
        "nonce": nonce,
        "target": (target.address, target.canary.port),
        "wanted": became,
        "interval": INTERVAL,
        "timeout": _TIMEOUT,
        "settled": _SETTLED,
        "seconds": _START_SECONDS + ENFORCE_SECONDS,
    }
    vantage = source.vantage
    with ThreadPoolExecutor(max_workers=1) as thread:
        running = thread.submit(
            vantage.cluster.api.exec, vantage.namespace, vantage.pod, LEAN, container=vantage.container,
            stdin=program(SWEEPER, told), deadline=_START_SECONDS + ENFORCE_SECONDS + 20, heard=stream.hear,
        )  # fmt: skip
        running.add_done_callback(lambda _: stream.arrived.set())
        if not stream.arrived.wait(_START_SECONDS) or running.done():
            running.result()  # says why, if it broke
            raise ProbeError(f"{source.source}: {target.source} was not {stream.old} to begin with")
        change()
        changed = time.monotonic()
        running.result()
    if stream.nonce != nonce:
        raise ProbeError(f"{source.source}: the watch did not come to its end")
    return measured(stream, changed, became)


def measured(stream: Stream, changed: float, became: State) -> Delay:
    """What a whole stream says of a change at a moment of our clock. Raises ProbeError where it never came to be so."""
    old = max(began for began, state in stream.tries if state == stream.old)
    new = [began for began, state in stream.tries if state == became and began > old]
    if not new:
        raise ProbeError(f"the change did not take effect within {ENFORCE_SECONDS} s: still {stream.old}")
    first = min(new)
    return Delay(
        became,
        round((first + stream.offset - changed) * 1000, 1),
        round((first - old) * 1000, 1),
        len(stream.tries),
    )


@dataclass(frozen=True, slots=True)
class Propagation:
    """What some rounds of applying and removing a policy took."""

    applied: tuple[Delay, ...]
    removed: tuple[Delay, ...]

    def __str__(self) -> str:
        return f"policy enforced after {_spread(self.applied)}, lifted after {_spread(self.removed)}"


def _spread(delays: Sequence[Delay]) -> str:
    taken = [each.milliseconds for each in delays]
    return f"{statistics.median(taken):.0f} ms ({min(taken):.0f} to {max(taken):.0f}, {len(taken)} times)"


def propagation(pool: Pool, rounds: int = 3) -> Propagation:
    """Deny all ingress to a pod of ours, and lift that again, while another one connects to it.

    Raises:
        ProbeError: nothing enforces policies here, or a probe broke.
    """
    home = pool.namespace("propagation")
    target, source = pool.lease(
        PodSpec(home, purpose="target"), PodSpec(pool.namespace("propagation-from"), purpose="source")
    )
    api = pool.cluster.api
    applied, removed = [], []
    for _ in range(rounds):
        policy = _deny_ingress(home)
        try:
            applied.append(delay(source, target, partial(api.create, policy), "blocked"))
            removed.append(delay(source, target, partial(api.delete, api.path_of(policy)), "open"))
        finally:
            api.delete(api.path_of(policy))
    return Propagation(tuple(applied), tuple(removed))


def await_policies(pool: Pool, seconds: float = 120) -> None:
    """Wait until policies are followed: after an outage of the API server a network plugin may take its time.

    Raises:
        ProbeError: they are not in time, or nothing enforces them here.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            propagation(pool, rounds=1)
        except ProbeError:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE)  # nothing tells when a node's network plugin has caught up
        else:
            return


def _deny_ingress(namespace: str) -> Body:
    name = f"k8ssec-deny-ingress-{secrets.token_hex(3)}"
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
