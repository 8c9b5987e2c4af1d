"""Controls of the family Identities and tokens, and what they share: where a whole tree of a node is searched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from pytest_k8ssec.agent.tasks import Tokens
from pytest_k8ssec.agent.vantage import Answer
from pytest_k8ssec.pods.manifests import PodSpec
from pytest_k8ssec.pods.pool import Pod, Pool
from pytest_k8ssec.pods.unrestricted import unrestricted_pods
from pytest_k8ssec.probes.planted_files import host_mounts
from pytest_k8ssec.verdict import Case

LOOKED = "start a pod of ours, and look round in it"
"""What is done in vain where it does not start, or breaks."""
_KEPT_AT = (
    *(f"/var/lib/kubelet/pods/*/volumes/kubernetes.io~{kind}" for kind in ("projected", "secret", "configmap", "downward-api")),
    "/var/lib/kubelet/kubeconfig", "/var/lib/kubelet/pki", "/etc/kubernetes", "/etc/cni/net.d", "/etc/rancher",
    "/var/lib/rancher/*/server/token*", "/root/.kube", "/home/*/.kube", "/run/secrets", "/var/run/secrets",
)  # fmt: skip
"""Where tokens are on a node: what kubelets write for pods, and where kubeconfigs usually are. Other pods' own data and root
file systems are not among them. Source: https://kubernetes.io/docs/reference/node/kubelet-files/"""
_WHOLE_TREES = ("/", "/var", "/var/lib")
"""Too much to be read to its end: the images and data of all pods are below."""


def kept_on_the_node(spec: PodSpec, claimed: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The mounts of whole trees of the node, and where tokens are in each; what holds less is searched like any other."""
    mounts = host_mounts(spec.template, claimed) if spec.template else {}
    known = {place: _places_in(place, path) for place, path in mounts.items()}
    return {place: found for place, found in known.items() if found}


def _places_in(place: str, path: str) -> tuple[str, ...]:
    """Where tokens are, as seen through the mount of a folder of the node; none where it is such a place itself."""
    above = PurePosixPath(path)
    if str(above) not in _WHOLE_TREES:  # what is smaller is searched to its end, or else nothing is known of it
        return ()
    inside = [each for each in map(PurePosixPath, _KEPT_AT) if above in each.parents]
    return tuple(str(PurePosixPath(place) / each.relative_to(above)) for each in inside)


def show_on_the_node(case: Case, pool: Pool, pod: Pod) -> None:
    """The same search in the node's files, by a pod of ours beside it that may read them: kubelets write tokens there."""
    node = pod.source.node
    (answer,) = unrestricted_pods(pool, [node])[node].ask(Tokens(node={"/node": _places_in("/node", "/")}))
    case.positive(
        "an unrestricted pod finds tokens in the node's files", answer.evidence, succeeded=bool(found_tokens(answer))
    )


def found_tokens(answer: Answer) -> list[dict[str, Any]]:
    """The tokens that a search found: each with its path and its claims; never to be shown."""
    return list(answer.raw.get("tokens", []))
