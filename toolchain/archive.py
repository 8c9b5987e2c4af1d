"""Container images written as docker archives, which both docker and containerd load.

Made by hand rather than by `docker build`, so that images share layers exactly as meant, whatever builder a docker has.
"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Layer:
    """An uncompressed tar."""

    path: Path
    digest: str
    """sha256 of the file, in hex."""

    @classmethod
    def of(cls, path: Path) -> "Layer":
        """The layer in a file."""
        with path.open("rb") as file:
            return cls(path, hashlib.file_digest(file, "sha256").hexdigest())


@dataclass(frozen=True)
class Link:
    """A symbolic link in a layer."""

    target: str


@dataclass(frozen=True)
class File:
    """A file in a layer, from disk or from memory, owned by root."""

    content: Path | bytes
    mode: int = 0o644


@dataclass(frozen=True)
class Image:
    """Layers, lowest first, and what runs in them."""

    refs: tuple[str, ...]
    layers: tuple[Layer, ...]
    run: Mapping[str, object] = field(default_factory=dict)
    """Keys of an image's config: Entrypoint, Cmd, User, ..."""


def write_layer(path: Path, entries: Mapping[str, File | Link]) -> Layer:
    """Writes a layer; paths are relative to the root, and parent folders are added."""
    with tarfile.open(path, "w") as tar:
        parents = {str(parent) for name in entries for parent in PurePosixPath(name).parents if str(parent) != "."}
        for parent in sorted(parents):
            folder = tarfile.TarInfo(parent)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        for name, entry in sorted(entries.items()):
            _add(tar, name, entry)
    return Layer.of(path)


def write_archive(path: Path, images: Sequence[Image]) -> None:
    """Writes images to one archive; a layer that several have is in it once."""
    manifest = []
    with tarfile.open(path, "w") as tar:
        for layer in {layer.digest: layer for image in images for layer in image.layers}.values():
            _add(tar, f"{layer.digest}/layer.tar", File(layer.path))
        for image in images:
            config = _config(image)
            name = f"{hashlib.sha256(config).hexdigest()}.json"
            _add(tar, name, File(config))
            layers = [f"{layer.digest}/layer.tar" for layer in image.layers]
            manifest.append({"Config": name, "RepoTags": list(image.refs), "Layers": layers})
        _add(tar, "manifest.json", File(json.dumps(manifest).encode()))


def _config(image: Image) -> bytes:
    machine = platform.machine()
    return json.dumps(
        {
            "architecture": ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "config": {"Env": [f"PATH={PATH}"], "WorkingDir": "/", **image.run},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in image.layers]},
            "history": [{"created_by": "toolchain"} for _ in image.layers],
        },
        sort_keys=True,
    ).encode()


def _add(tar: tarfile.TarFile, name: str, entry: File | Link) -> None:
    info = tarfile.TarInfo(name)
    if isinstance(entry, Link):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.target, 0o777
        tar.addfile(info)
        return
    info.mode = entry.mode
    if isinstance(entry.content, bytes):
        info.size = len(entry.content)
        tar.addfile(info, io.BytesIO(entry.content))
        return
    info.size = entry.content.stat().st_size
    with entry.content.open("rb") as file:
        tar.addfile(info, file)
