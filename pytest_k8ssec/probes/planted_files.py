"""Files of ours on a node, for pods to look for; removed again in every ending."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from pytest_k8ssec.agent.tasks import HostSocket
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import NoAccess, ProbeError

RUNTIME_SOCKETS = HostSocket(
    ("/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/cri-dockerd.sock", "/run/docker.sock")
)
"""Where container runtimes listen on a node."""

_USUAL = tuple(
    f"/{name}" for name in ("", "etc", "home", "opt", "root", "run", "tmp", "usr", "var", "var/lib", "var/log")
)
_PLANT = """
name=$1 nonce=$2; shift 2
for folder in "$@"; do
  file=${folder%/}/$name
  [ -d "$folder" ] && printf %s "$nonce" > "$file" && chmod 0644 "$file" && echo "$file"
done
true
"""
_NAMESPACES = "for kind in ipc mnt net pid; do echo $kind $(readlink /proc/1/ns/$kind); done"
_FILES = 'for path in "$@"; do echo "$(stat -L -c %d:%i "$path") $path"; done'


@dataclass(frozen=True, slots=True)
class Planted:
    """What was planted on a node, and what is known of it besides."""

    paths: tuple[str, ...]
    nonce: str = field(repr=False)
    namespaces: Mapping[str, str]
    """The kernel namespaces of the node's own first process."""
    files: Mapping[str, str]
    """Device and inode of each of the given paths that is there."""


def host_mounts(template: Mapping[str, Any], claimed: Mapping[str, str]) -> dict[str, str]:
    """What the main container of a pod template mounts of its node: the node's path by where it is in the container.

    Args:
        claimed: the folder of a node that each claim of the namespace is, as far as it is one.
    """
    spec = template["spec"]
    paths = {each["name"]: each["hostPath"]["path"] for each in spec.get("volumes") or () if each.get("hostPath")}
    for each in spec.get("volumes") or ():
        claim = str((each.get("persistentVolumeClaim") or {}).get("claimName"))
        if claim in claimed:
            paths[each["name"]] = claimed[claim]
    mounts = spec["containers"][0].get("volumeMounts") or ()
    return {
        mount["mountPath"]: str(PurePosixPath(paths[mount["name"]], mount.get("subPath", "")))
        for mount in mounts
        if mount["name"] in paths
    }


@contextmanager
def planted(cluster: Cluster, node: Node, mounted: Sequence[str]) -> Iterator[Planted]:
    """Plant a readable file in a node's usual folders, and in those that are mounted from it, as far as it has them.

    Raises:
        NoAccess: the node can't be entered.
        ProbeError: nothing could be planted.
    """
    if not node.container:
        raise NoAccess(f"node {node.name}: can't be entered, so nothing can be planted there")
    name, nonce = f".k8ssec-{secrets.token_hex(6)}", secrets.token_hex(16)
    wanted = tuple(dict.fromkeys((*_USUAL, *mounted)))
    try:
        paths = cluster.on_node(node, ["sh", "-c", _PLANT, "plant", name, nonce, *wanted]).text.split()
        found = dict(line.split() for line in cluster.on_node(node, ["sh", "-c", _NAMESPACES]).text.splitlines())
        files = cluster.on_node(node, ["sh", "-c", _FILES, "files", *mounted]).text.splitlines() if mounted else ()
        if not paths or len(found) != 4:
            raise ProbeError(f"node {node.name}: nothing could be planted there")
        yield Planted(
            tuple(paths), nonce, found, {path: which for which, _, path in (one.partition(" ") for one in files)}
        )
    finally:
        cluster.on_node(node, ["rm", "-f", *(f"{folder.rstrip('/')}/{name}" for folder in wanted)])
