"""Finds docker, kind, pulumi, the Kubernetes provider plugin and the images; never installs, starts or compiles.

Each is looked for on PATH (images: in docker's local store), then in the cache that ``make tools`` fills, then as a
pinned public release with its checksum. If it is in none of these places, the error names the command that gets it.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pytest_k8ssec.errors import CommandError, ToolMissing
from pytest_k8ssec.machine import docker, releases
from pytest_k8ssec.machine.process import run

GET = "put it on PATH, or name in K8SSEC_CACHE a copy of a cache that has it; `k8ssec doctor` looks again"
LOAD = "load it into docker (`docker load --input FILE`); `k8ssec doctor` looks again"
"""What fixes the lack of an image."""
_REGISTRY = ("registry-1.docker.io", 443)


@dataclass(frozen=True, slots=True)
class Tool:
    """An executable, and where it was found."""

    path: Path
    version: str
    origin: str
    """``PATH``, ``toolchain`` or ``release``."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image in docker's local store, and where its pin comes from."""

    reference: str
    version: str
    origin: str


def cache_root() -> Path:
    """Where tools are kept: ``K8SSEC_CACHE``, else the XDG cache directory."""
    if chosen := os.environ.get("K8SSEC_CACHE"):
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "k8ssec"


def find_tool(name: str) -> Tool:
    """``kind``, ``pulumi`` or ``kubectl``.

    Raises:
        ToolMissing: it was not found and could not be fetched; the message says what was tried.
    """
    if here := installed(name):
        return here
    if name not in releases.RELEASES:
        raise ToolMissing(f"{name}: neither on PATH nor in the cache", fix=GET)
    try:
        return Tool(releases.fetch(name, cache_root()), releases.RELEASES[name].version, "release")
    except ToolMissing as error:
        raise ToolMissing(f"{name}: not on PATH, not in the cache, and {error.message}", fix=GET) from error


def installed(name: str) -> Tool | None:
    """A tool that is on this machine; nothing is fetched."""
    if found := shutil.which(name):
        return Tool(Path(found), _version(Path(found)), "PATH")
    built = _built(name)
    if built and Path(built["path"]).exists():
        return Tool(Path(built["path"]), built["version"], "toolchain")
    fetched = releases.location(name, cache_root()) if name in releases.RELEASES else None
    if fetched and fetched.exists():
        return Tool(fetched, releases.RELEASES[name].version, "release")
    return None


def find_provider() -> Tool | None:
    """The provider plugin ``pulumi-resource-kubernetes``, or None: then Pulumi fetches the official one by itself."""
    if found := shutil.which("pulumi-resource-kubernetes"):
        return Tool(Path(found), "", "PATH")
    return installed("pulumi-resource-kubernetes")


def language_host_dirs() -> tuple[Path, ...]:
    """Directories of language hosts that the toolchain built; others are on PATH, or beside Pulumi."""
    built = _built("pulumi-language-yaml")
    return (Path(built["path"]).parent,) if built and Path(built["path"]).exists() else ()


def node_image(reference: str | None = None, version: str | None = None) -> Image:
    """The image of the cluster's nodes, in the local store.

    Args:
        reference: one that the user chose.
        version: a Kubernetes version (``1.36``, ``v1.36.3``) that the image must have.

    Raises:
        ToolMissing: it is not in the local store and can't be pulled, or no pinned image has the version.
    """
    chosen = choose_node_image(reference, version)
    _fetch(chosen)
    return chosen


def choose_node_image(reference: str | None = None, version: str | None = None) -> Image:
    """The image that nodes would be made from; one that is not in the local store is not pulled.

    Raises:
        ToolMissing: no pinned image has the version.
    """
    if reference:
        return Image(reference, "", "chosen")
    built = _built("node_image")
    if built and _fits(built["version"], version) and docker.has_image(built["ref"]):
        return Image(built["ref"], built["version"], "toolchain")
    for pinned, image in releases.NODE_IMAGES.items():
        if _fits(pinned, version):
            return Image(image, pinned, "release")
    known = [*releases.NODE_IMAGES, *([built["version"]] if built else [])]
    raise ToolMissing(
        f"node image for Kubernetes {version}: none is pinned",
        fix=f"choose one of {', '.join(known)}, or name an image with --k8ssec-node-image",
    )


def probe_image() -> Image:
    """The image that probes run in, in the local store.

    Raises:
        ToolMissing: it is not there and can't be pulled.
    """
    chosen = choose_probe_image()
    _fetch(chosen)
    return chosen


def choose_probe_image() -> Image:
    """The image that probes would run in; one that is not in the local store is not pulled."""
    built = _built("probe_image")
    if built and docker.has_image(built["ref"]):
        return Image(built["ref"], built["version"], "toolchain")
    return Image(releases.PROBE_IMAGE, "3.13", "release")


def _fetch(image: Image) -> None:
    """Pull an image unless it is in the local store, as the one that the toolchain built was a moment ago."""
    reference = image.reference
    if image.origin == "toolchain" or docker.has_image(reference):
        return
    if not reaches_registry(reference):
        raise ToolMissing(
            f"image {reference}: not in the local store, and its registry is out of reach",
            fix="check the name (`docker images` lists what is there)" if image.origin == "chosen" else LOAD,
        )
    try:
        docker.docker("pull", "--quiet", reference, deadline=600)
    except CommandError as error:
        raise ToolMissing(
            f"image {reference}: can't be pulled",
            fix="check the name, or log in to its registry",
            details=error.details,
        ) from error


def reaches_registry(reference: str) -> bool:
    """Whether the image's registry answers within seconds; behind a proxy only docker itself can tell."""
    first, slash, _ = reference.partition("/")
    host, port = _REGISTRY
    if slash and ("." in first or ":" in first or first == "localhost") and first != "docker.io":
        host, _, given = first.partition(":")
        port = int(given) if given.isdigit() else 443
    return releases.reaches(host, port)


def _fits(version: str, wanted: str | None) -> bool:
    if wanted is None:
        return True
    have, want = version.lstrip("v").split("."), wanted.lstrip("v").split(".")
    return have[: len(want)] == want


def _built(name: str) -> dict[str, str] | None:
    """What the toolchain has built under this name, or None; an entry that lacks something tells nothing."""
    entry = _manifest().get(name)
    whole = isinstance(entry, dict) and "version" in entry and ("path" in entry or "ref" in entry)
    return entry if whole else None


@cache
def _manifest() -> dict[str, Any]:
    try:
        loaded = json.loads((cache_root() / "tools.json").read_text())
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _version(path: Path) -> str:
    try:
        done = run([str(path), "version"], deadline=10, check=False)
    except CommandError:
        return ""
    return next((word for word in done.text.split() if word[:1] == "v" and word[1:2].isdigit()), "")
