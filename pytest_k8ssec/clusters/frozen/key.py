"""When two clusters would be the same: a digest over all that one is made of."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_k8ssec.clusters import after, kind, kindconfig
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.machine import docker
from pytest_k8ssec.machine.tools import Image, Tool

_PROXIES = ("http_proxy", "https_proxy", "no_proxy")
"""kind hands these to the nodes."""
_SNAPSHOTTER = "KIND_EXPERIMENTAL_CONTAINERD_SNAPSHOTTER"
_DEFAULT_ROLE = "control-plane"


def key_of(config: KindConfig, *, tool: Tool, node_image: Image, probe_image: Image) -> str:
    """The key of the cluster that would be made, 64 hexadecimal digits.

    What a mounted file says counts, but not what ``${random:N}`` in it becomes: that differs in each cluster.

    Raises:
        CommandError: docker did not tell of the images.
        ClusterError, OSError: what is mounted can't be read.
    """
    parts: dict[str, Any] = {
        "configuration": config.document,
        "after": config.after,
        "replaced": config.replaced,
        "mounted": dict(_mounted(config)),
        "kind": tool.version,
        "images": [*docker.image_ids(node_image.reference, probe_image.reference, check=True), probe_image.reference],
        "docker": docker.docker("info", "--format", "{{.ID}} {{.CgroupVersion}} {{.ServerVersion}}").text.strip(),
        "environment": {name: os.environ.get(name) for each in _PROXIES for name in (each, each.upper())},
        "sources": dict(_sources()),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def why_not(config: KindConfig) -> str:
    """Why a cluster of this configuration can't be frozen, "" where it can."""
    planes = sum(node.get("role", _DEFAULT_ROLE) == _DEFAULT_ROLE for node in config.document["nodes"])
    if planes != 1:
        return f"it has {planes} control planes, whose etcd knows its members by their addresses"
    if "certificatesDir" in json.dumps(config.document):
        return "its configuration says where certificates are, and a copy makes its own in the usual place"
    if os.environ.get(_SNAPSHOTTER, "overlayfs") not in ("", "overlayfs"):
        return f"{_SNAPSHOTTER} chooses another snapshotter than overlayfs"
    return ""


def _mounted(config: KindConfig) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each relative path that is mounted, to what is below it: files and their modes and digests."""
    for node in config.document["nodes"]:
        for mount in node.get("extraMounts") or []:
            if not Path(mount["hostPath"]).is_absolute() and mount["hostPath"] not in config.replaced:
                place = config.source.parent / mount["hostPath"]
                files = sorted(place.rglob("*")) if place.is_dir() else [place]
                yield mount["hostPath"], {str(file.relative_to(place)): _digest(file) for file in files}


def _digest(file: Path) -> str:
    content = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
    return f"{file.stat().st_mode:o} {content}"


def _sources() -> Iterator[tuple[str, str]]:
    """The files that make a cluster, freeze it and thaw it."""
    here = Path(__file__).parent
    modules = [Path(str(module.__file__)) for module in (kind, kindconfig, after)]
    for file in sorted([*modules, here / "freeze.py", here / "thaw.py", *here.glob("on_node/*")]):
        yield file.name, hashlib.sha256(file.read_bytes()).hexdigest()
