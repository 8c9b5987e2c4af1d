"""What a changed configuration makes of a copy of a frozen cluster, before the copy starts for the first time.

A sabotage of the configuration differs from the intact cluster in a few arguments, fields and mounted files. A copy gets
them as a new cluster does: kubeadm's configuration is patched, and kubeadm writes the manifests of the static pods from
it; fields of KubeletConfiguration are set in the file that each kubelet reads. Mounted files are written for each run.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from pytest_k8ssec.clusters.frozen.shelf import FrozenNode
from pytest_k8ssec.clusters.kindconfig import KindConfig

KUBEADM_FILE = "/kind/kubeadm.conf"
KUBELET_FILE = "/var/lib/kubelet/config.yaml"
_CLUSTER, _KUBELET = "ClusterConfiguration", "KubeletConfiguration"
_COMPONENTS = frozenset({"apiServer", "controllerManager", "scheduler", "etcd"})
"""What of kubeadm's ClusterConfiguration says nothing but how static pods are started."""
_ARGUMENTS = "extraArgs"


class CannotThaw(Exception):
    """A configuration differs from the frozen one in something that a copy can't be given; the text says in what."""


@dataclass(frozen=True, slots=True)
class Variant:
    """How a configuration differs from the frozen one, beside mounted files."""

    patches: tuple[Mapping[str, Any], ...] = ()
    """Documents of kubeadm's configuration, as kind takes them, in their order."""

    def files(self, node: FrozenNode) -> dict[str, str]:
        """The texts that a node has instead of frozen ones, by file: :data:`KUBEADM_FILE`, :data:`KUBELET_FILE`.

        Raises:
            CannotThaw: what the node has, or a patch, is not what kubeadm writes or takes.
        """
        made: dict[str, str] = {}
        with _or_cannot(f"the configuration of {node.name} can't be patched"):
            if any(patch["kind"] == _KUBELET for patch in self.patches):
                made[KUBELET_FILE] = _patched(node.kubelet, self.patches)
            if node.kubeadm and self.patches:
                made[KUBEADM_FILE] = _patched(node.kubeadm, self.patches)
        return made


UNCHANGED = Variant()


def variant_of(frozen: KindConfig, wanted: KindConfig) -> Variant:
    """How a configuration differs from the frozen one.

    Raises:
        CannotThaw: in more than can be changed in a copy before it starts.
    """
    before, after = copy.copy(frozen.document), copy.copy(wanted.document)
    old, new = (document.pop("kubeadmConfigPatches") for document in (before, after))
    if before != after:
        names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        raise CannotThaw(f"`{names[0]}` of its kind configuration differs")
    if frozen.after != wanted.after:
        raise CannotThaw("what is done after its creation differs")
    if new[: len(old)] != old:
        raise CannotThaw("patches of kubeadm's configuration differ, beside those that are added")
    with _or_cannot("patches of kubeadm's configuration can't be read"):
        patches = [patch for text in new[len(old) :] for patch in yaml.safe_load_all(text) if patch]
        for patch in patches:
            _check(patch)
    return Variant(tuple(patches))


@contextmanager
def _or_cannot(what: str) -> Iterator[None]:
    """Whatever goes wrong here is a reason to have kind make the cluster, and none to end the run."""
    try:
        yield
    except CannotThaw:
        raise
    except Exception as error:
        why = str(error).split("\n", 1)[0]
        raise CannotThaw(f"{what}: {type(error).__name__}: {why}") from error


def _check(patch: Mapping[str, Any]) -> None:
    kind = patch.get("kind")
    beyond = [] if kind == _KUBELET else sorted({*patch} - _COMPONENTS - {"kind", "apiVersion"})
    if kind not in (_CLUSTER, _KUBELET):
        raise CannotThaw(f"its {kind} differs")
    if beyond:
        raise CannotThaw(f"`{beyond[0]}` of its {kind} differs")


def _patched(text: str, patches: Sequence[Mapping[str, Any]]) -> str:
    """A file with one or several of kubeadm's documents, patched."""
    documents = list(yaml.safe_load_all(text))
    for at, document in enumerate(documents):
        for patch in patches:
            if patch["kind"] == document["kind"]:
                body = {name: value for name, value in patch.items() if name not in ("kind", "apiVersion")}
                documents[at] = document = _merged(document, body)  # noqa: PLW2901 - one patch after the other
    return yaml.safe_dump_all(documents, sort_keys=False)


def _merged(document: Any, patch: Any) -> Any:
    """As RFC 7386 has it, but that kubeadm lists arguments by name, where a patch maps them."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(document) if isinstance(document, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif name == _ARGUMENTS and isinstance(value, Mapping) and not isinstance(merged.get(name), Mapping):
            merged[name] = _arguments(merged.get(name) or [], value)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged


def _arguments(listed: Sequence[Mapping[str, str]], patch: Mapping[str, str | None]) -> list[dict[str, str]]:
    """Arguments of a component: those that the patch names have its value, or are gone where that is None."""
    kept = [dict(each) for each in listed if each["name"] not in patch]
    return [*kept, *({"name": name, "value": value} for name, value in patch.items() if value is not None)]
