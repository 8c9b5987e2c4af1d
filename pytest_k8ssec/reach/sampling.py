"""Which pods of many are measured: one of each class, and a random sample of the others.

A class is what the policies can't tell apart, and what a network may not treat apart either: see :func:`kin_of`.
"""

from __future__ import annotations

import json
import math
import random
import secrets
from collections.abc import Container, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_k8ssec.evidence import JSON
from pytest_k8ssec.facts.policies.network import End, Policy
from pytest_k8ssec.facts.policies.pod_classes import pod_classes
from pytest_k8ssec.reach.measure import Dial
from pytest_k8ssec.reach.places import Destination

LIMIT = 50
"""Up to so many pods all are measured. So many and a twin of each still fit on one node, beside what the cluster itself runs
there: a kubelet takes 110 pods if nobody says otherwise."""
SAMPLED = 30
"""How many of the others are measured too, as sources and as targets: if one in ten behaves unlike its class, one of those is
among 30 with a probability of 96 %."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How many pods are too many to measure all of them, and what chance decides then."""

    limit: float = LIMIT
    """With more pods than this, those of a class are measured by some of them; infinity measures all, always."""
    seed: int = field(default_factory=lambda: secrets.randbelow(10**9))
    """The same seed chooses the same among the same pods."""
    sample: int = SAMPLED

    @property
    def by_chance(self) -> int | None:
        """The seed, where chance decides anything; None where all is tried."""
        return None if math.isinf(self.limit) else self.seed

    def chosen(self, classes: Sequence[Hashable], what: str) -> frozenset[int]:
        """The indices of those that are measured: one of each class, whichever, and some of the others.

        Args:
            classes: by thing, equal for things of one class.
            what: the things' name, so that chance does not choose alike for two kinds of things.
        """
        chance = random.Random(f"{self.seed} {what}")  # noqa: S311 - to be repeated, not to be secret
        order = chance.sample(range(len(classes)), len(classes))
        first: dict[Hashable, int] = {}
        for number in order:
            first.setdefault(classes[number], number)
        one_of_each = set(first.values())
        others = [number for number in order if number not in one_of_each]
        return frozenset([*one_of_each, *others[: self.sample]])


EVERYTHING = Sampling(math.inf, 0)
"""All pods are measured."""


def sampling_of(limit: float | None, seed: int | None) -> Sampling:
    """The sampling that a caller or the settings ask for; None where they do not say."""
    made = Sampling()
    return replace(made, limit=made.limit if limit is None else limit, seed=made.seed if seed is None else seed)


def kin_of(namespace: str, ends: Sequence[End], spec: Mapping[str, JSON]) -> Hashable:
    """What must be equal for two pods to be one class, beside what the policies answer.

    A network may treat them apart by it although no policy does: the node (its kernel, its agent of the network, its routes),
    whether the pod is in its node's network, the namespace (networks give namespaces settings of their own), the address
    families, the runtime (a sandbox has a network of its own), the resolver, and kernel settings.

    Args:
        ends: the pod at each of its addresses.
        spec: the pod's, or that of its template.
    """
    apart = [spec.get(key) for key in ("hostNetwork", "hostUsers", "runtimeClassName", "dnsPolicy", "dnsConfig")]
    sysctls = (spec.get("securityContext") or {}).get("sysctls")
    families = tuple(":" in end.address for end in ends)
    return namespace, ends[0].node, families, json.dumps([*apart, sysctls], sort_keys=True)


def thinned(
    destinations: Sequence[Destination],
    policies: Sequence[Policy],
    kin: Mapping[str, Hashable],
    listening: Container[Dial],
    sampling: Sampling,
) -> tuple[Destination, ...]:
    """The same destinations; of each port of a pod the class, and whether pods connect to it.

    A pod is measured with all of its ports, or not at all. What leads through a Service or a node has no class: each is
    programmed by itself.

    Args:
        kin: by pod, as :func:`kin_of` gives it. A pod that is not there has no class, and is measured.
        listening: where something was seen to listen.

    Raises:
        ValueError: an address, or a block of addresses, is none.
    """
    at = [number for number, each in enumerate(destinations) if each.pod in kin]
    ports = [destinations[number] for number in at]
    classes = pod_classes(policies, [(each.ends[0], each.port, each.dial.protocol) for each in ports])
    numbers: dict[Hashable, int] = {}
    pods: dict[str, list[int]] = {}
    made = list(destinations)
    for number, each, policy_class in zip(at, ports, classes, strict=True):
        v6, listens = ":" in each.dial.host, each.dial in listening
        key = (kin[each.pod], policy_class, each.port, each.dial.protocol, v6, listens)
        made[number] = replace(each, kin=numbers.setdefault(key, len(numbers)))
        pods.setdefault(each.pod, []).append(number)
    of_pods = [frozenset(made[number].kin for number in mine) for mine in pods.values()]
    chosen = sampling.chosen(of_pods, "targets")
    for number in (one for pod, mine in enumerate(pods.values()) if pod not in chosen for one in mine):
        made[number] = replace(made[number], measured=False)
    return tuple(made)
