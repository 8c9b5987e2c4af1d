"""Keeps a twin from being an endpoint of a Service that publishes addresses of pods which are not ready.

Other Services leave a twin out, as it is never ready. Such a one takes every pod of its labels that has an address.

Source: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/ (publishNotReadyAddresses)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pytest_k8ssec.clusters.api import Body, KubeApi
from pytest_k8ssec.errors import ProbeError

_POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
_PUBLISHES = "service.alpha.kubernetes.io/tolerate-unready-endpoints"


class WouldBeServed(ProbeError):
    """A twin with the labels of its workload would get the workload's traffic."""


def unserved_labels(
    api: KubeApi, namespace: str, labels: Mapping[str, str], *, known_ones: bool = False
) -> dict[str, str]:
    """The labels, without one of those by which each such Service selects; one that no network policy knows.

    Args:
        known_ones: one that a policy knows may be left out too.

    Raises:
        WouldBeServed: network policies know all of them, so a pod without one would not be treated like the workload's.
        ClusterError: the API server did not list Services, or policies.
    """
    left = dict(labels)
    known: set[str] | None = None
    for service in api.list(f"/api/v1/namespaces/{namespace}/services"):
        selector = service["spec"].get("selector") or {}
        if not selector or not _publishes(service) or not selector.items() <= left.items():
            continue
        if known is None:
            known = known_to_policies(api)
        free = [key for key in selector if key not in known] or (list(selector) if known_ones else [])
        if not free:
            raise WouldBeServed(
                f"a twin would be an endpoint of Service {namespace}/{service['metadata']['name']}, which publishes "
                "addresses of pods that are not ready, and policies select by each of its labels"
            )
        del left[free[0]]
    return left


def known_to_policies(api: KubeApi) -> set[str]:
    """Keys of the labels by which any network policy of the cluster tells pods apart. Raises ClusterError."""
    return {key for policy in api.list(_POLICIES) for key in _keys(policy["spec"])}


def _publishes(service: Body) -> bool:
    old = (service["metadata"].get("annotations") or {}).get(_PUBLISHES)
    return bool(service["spec"].get("publishNotReadyAddresses")) or old == "true"


def _keys(spec: Body) -> Iterator[str]:
    """Keys of the labels by which a policy selects pods: its own, and those that it lets in or out."""
    rules = [*(spec.get("ingress") or ()), *(spec.get("egress") or ())]
    peers = [peer for rule in rules for peer in (*(rule.get("from") or ()), *(rule.get("to") or ()))]
    for selector in (spec.get("podSelector") or {}, *(peer.get("podSelector") or {} for peer in peers)):
        yield from selector.get("matchLabels") or {}
        yield from _of_expressions(selector.get("matchExpressions") or ())


def _of_expressions(expressions: Iterable[Body]) -> Iterator[str]:
    for each in expressions:
        yield each["key"]
