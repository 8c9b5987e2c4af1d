"""No pod of the stack's namespaces runs without a bound on CPU and memory.

A container without limits takes what its node has: one leak, one loop or one miner starves its neighbours, the kubelet
among them. A pod without a limit on CPU, one without a limit on memory, and one that asks for nothing at all are
offered to each namespace that the stack declares or runs a workload in, as dry runs. Each must be refused for that very
limit, or come back with limits that a LimitRange put in. The check looks at the object that the API server returns, not
at policies. An init container that lacks limits is offered too, beside a container that has them. The same pod with both limits
must be let in. Where a quota has scopes, pods that end by themselves, and
those of the priorities that it names, are offered as well: it may leave them out.

Remediation: give each namespace a LimitRange with `default` limits for containers, and a ResourceQuota on `limits.cpu`
and `limits.memory`. A namespace that is unbounded on purpose is declared in `[tool.k8ssec.allow.adm-limits]` as
`"namespace" = "reason"`.

```yaml
# kubectl apply -n NAMESPACE -f limits.yaml
apiVersion: v1
kind: LimitRange
metadata:
  name: containers
spec:
  limits:
    - type: Container
      default: {cpu: 500m, memory: 128Mi}
      defaultRequest: {cpu: 10m, memory: 32Mi}
      max: {cpu: "1", memory: 512Mi}
---
apiVersion: v1
kind: ResourceQuota
metadata:
  name: team
spec:
  hard: {limits.cpu: "12", limits.memory: 4Gi, pods: "24"}
```

Sources: https://kubernetes.io/docs/concepts/policy/limit-range/,
https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import product
from typing import Any

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.catalogue.declared import Declared
from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.api_servers import ApiServer
from pytest_k8ssec.clusters.interface import Cluster
from pytest_k8ssec.evidence import Evidence
from pytest_k8ssec.evidence.causes import Lacking, ObjectName
from pytest_k8ssec.pods.resources import Resources
from pytest_k8ssec.probes.admission import admitted, offered
from pytest_k8ssec.probes.guises import PLAIN, Guise, by_scopes
from pytest_k8ssec.probes.identities import api_evidence
from pytest_k8ssec.probes.nodes_in_reach import servers_to_judge
from pytest_k8ssec.probes.podsecurity import fits, offered_pod, room_in
from pytest_k8ssec.sabotages.deleted_object import deleted
from pytest_k8ssec.sabotages.proofs import changing
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Case, Judge

_BOUNDS = ("cpu", "memory")
_WITHOUT = (("cpu",), ("memory",), _BOUNDS)
_INIT = "an init container"
_CONTAINERS = {"the container": "", _INIT: " with an init container"}
"""Which container of a pod lacks limits, and how such a pod is told."""
_QUOTA_SAYS = "must specify "


@control(
    severity=Severity.MEDIUM,
    subject="stack",
    mitre=("T1496",),
    nsa=("N2",),
    others=("C-0270", "C-0271"),
    dimensions=("server", "namespace", "guise", "container", "without"),
    blames=(Lacking,),
    finding="{case} lets you {attack}",
)
def test_adm_limits(judge: Judge, cluster: Cluster, stack: Stack, allowed: Mapping[str, str]) -> None:
    """Offer each namespace pods that lack a limit, and look at what admission makes of them."""
    declared, namespaces = Declared(judge, allowed, "unbounded"), stack.pod_namespaces
    left = [each for each in namespaces if not declared.covers(each, f"Namespace {each}")]
    declared.tell_unused()
    if not left:
        judge.not_applicable("the stack has no namespace that is not declared unbounded")
        return
    servers = servers_to_judge(judge, cluster)
    guises = {namespace: (PLAIN, *by_scopes(cluster.api.list(_quotas(namespace)))) for namespace in left}
    for server, namespace in product(servers, left):
        for guise, container, without in product(guises[namespace], _CONTAINERS, _WITHOUT):
            judge.coverage.exists(**_at(server, namespace, guise, container, without))
    for server, namespace in product(servers, left):
        bounds = Lacking(namespace, ("limitranges", "resourcequotas"), "LimitRange and no ResourceQuota")
        case = judge.case(f"namespace {namespace}{server.words}", causes=[bounds])
        room = room_in(cluster, namespace)
        for guise in guises[namespace]:
            _offer_all(case, server, cluster.probe_image, namespace, room, guise)


def _quotas(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/resourcequotas"


def _at(server: ApiServer, namespace: str, guise: Guise, container: str, without: Sequence[str]) -> dict[str, Any]:
    where = {"server": server.name, "namespace": namespace, "guise": guise.kind}
    return {**where, "container": container, "without": " and ".join(without)}


def _offer_all(case: Case, server: ApiServer, image: str, namespace: str, room: Resources, guise: Guise) -> None:
    """Offer one namespace in one guise a pod with limits, and those that lack some in one of their containers."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    fine, _ = offered(server, path, offered_pod(image, room=room), guise=guise)
    bounded = f"a pod with limits{guise}" if guise.name else "the same pod with limits"
    case.positive(f"{bounded} is let in", fine, succeeded=fits(fine))
    for container, without in product(_CONTAINERS, _WITHOUT):
        answer, made = offered(server, path, _unbounded(image, without, room, container), guise=guise)
        lacking = _lacking(made) if answer.status == 201 else []
        shown = replace(answer, facts={"without limits": lacking}) if lacking else answer
        case.attack(
            f"create a pod{guise}{_CONTAINERS[container]} without limits on {' and '.join(without)}",
            shown,
            through=_unbound(answer, without, lacking),
            at=_at(server, namespace, guise, container, without),
        )


def _unbounded(image: str, bounds: Sequence[str], room: Resources, container: str) -> dict[str, Any]:
    """A pod without some limits; without any it asks for nothing either, as a quota may leave such pods out of its scope."""
    offer = offered_pod(image, room=room)
    (lacks,) = offer["spec"]["containers"]
    if container == _INIT:
        lacks = {**copy.deepcopy(lacks), "name": "init"}
        offer["spec"]["initContainers"] = [lacks]
    for bound in bounds:
        lacks["resources"]["limits"].pop(bound, None)
    if not lacks["resources"]["limits"]:
        lacks["resources"].clear()
    return offer


def _lacking(made: Body) -> list[str]:
    """What the pod would run without, as it would be stored."""
    containers = (*made["spec"]["containers"], *(made["spec"].get("initContainers") or ()))
    given = [container.get("resources", {}).get("limits", {}) for container in containers]
    return [bound for bound in _BOUNDS if not all(bound in limits for limits in given)]


def _unbound(answer: Evidence, without: Sequence[str], lacking: list[str]) -> bool | None:
    """201 is let in, with limits or without; of refusals only one that names a limit which was missing counts.

    That is a quota's, or a LimitRange's: it says that there is none, or that the one it put in is too far from the request.
    """
    if answer.status == 201:
        return bool(lacking)
    asked_for = answer.detail.partition(_QUOTA_SAYS)[2]
    named = any(f"limits.{bound}" in asked_for or _by_range(answer.detail, bound) for bound in without)
    return False if answer.status == 403 and named else admitted(answer)


def _by_range(detail: str, bound: str) -> bool:
    missing = f"maximum {bound} usage per" in detail and "No limit is specified" in detail
    return missing or f"{bound} max limit to request ratio per" in detail


@sabotage(test_adm_limits)
def limits_removed(cluster: Cluster, stack: Stack) -> Iterator[Evidence]:
    """One of the stack's namespaces has neither a LimitRange nor a ResourceQuota any more: either alone is enough."""
    namespace = stack.pod_namespaces[0]
    paths = [f"/api/v1/namespaces/{namespace}/{kind}" for kind in ("limitranges", "resourcequotas")]
    with ExitStack() as undo:
        for path in paths:
            for item in cluster.api.list(path):
                undo.enter_context(deleted(cluster.api, f"{path}/{item['metadata']['name']}"))
        proof = api_evidence("", f"GET {paths[0]}", cluster.api.request("GET", paths[0]))
        yield changing(proof, ObjectName("Namespace", namespace))
