"""Measures in milliseconds how long a policy takes from the API server's answer until it is enforced.

A pod of ours connects to another one every few milliseconds, in one exec whose answers are streamed. Once the old state
has been seen the change is made. The change took effect with the first connection after the last one of the old kind.
All moments are by this process's clock. The agent's own clock is used only for the time between two of its lines. The
line that took the shortest time to arrive relates the agent's clock to ours.
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
"""How many connections of the new kind in a row show that the change is in effect."""
_START_SECONDS = 10
_PAUSE = 0.5
"""Between two tries on a cluster that comes back, in seconds: a pod whose node is not yet heard of refuses at once."""


@dataclass(frozen=True, slots=True)
class Delay:
    """How long one change took."""

    became: State
    milliseconds: float
    """From the API server's answer to the start of the first new connection; below 0 if the network was quicker."""
    uncertainty: float
    """Milliseconds between that connection and the last one of the old kind, both at their beginning."""
    connections: int

    def __str__(self) -> str:
        return f"{self.became} after {self.milliseconds:.0f} ms (within {self.uncertainty:.0f} ms)"


@dataclass(slots=True)
class Stream:
    """The agent's lines as they arrive, each with the moment at which it arrived."""

    pending: bytes = b""
    tries: list[tuple[float, State | None]] = field(default_factory=list)
    """When each try began, by the agent's clock in seconds, and its state; None for a broken one."""
    offset: float = float("inf")
    """Seconds to add to the agent's clock to get ours, from the line that arrived quickest."""
    nonce: str = ""
    """Of the closing line."""
    old: State = "open"
    arrived: threading.Event = field(default_factory=threading.Event)
    """Set once the old state was seen often enough."""

    def hear(self, chunk: bytes) -> None:
        """Take in text that has just arrived."""
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
                raise ProbeError("watch: the agent answered with something that is not an answer") from None
            self.tries.append((began / 1000, state))
        if sum(state == self.old for _, state in self.tries) >= _SEEN:
            self.arrived.set()


def _state(outcome: Outcome) -> State | None:
    if outcome is Outcome.OPEN:
        return "open"
    return "blocked" if outcome in STOPPED else None


def delay(source: Pod, target: Pod, change: Callable[[], object], became: State) -> Delay:
    """Make a change while one pod connects to another, and measure how long it took to take effect.

    Raises:
        ProbeError: the new state held before, the change never took effect, or the agent broke.
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
        raise ProbeError(f"{source.source}: the watch did not finish")
    return measured(stream, changed, became)


def measured(stream: Stream, changed: float, became: State) -> Delay:
    """The delay of a change made at a moment of our clock. Raises ProbeError if it never took effect."""
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
    """How long some rounds of applying and removing a policy took."""

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
    """Wait until policies are enforced: after an outage of the API server a network plugin may take a while.

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
