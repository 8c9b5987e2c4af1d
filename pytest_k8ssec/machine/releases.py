"""Pinned public releases: where they are, and the sha256 that they must have.

Each checksum was found in two or more independent public sources (for pulumi on darwin: one); docs/reference/toolchain.md names
them. A fetch that can't reach its host is over within seconds; a file whose checksum differs is thrown away.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import platform
import shutil
import socket
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pytest_k8ssec.errors import ToolMissing
from pytest_k8ssec.machine.disks import as_disk_error

CONNECT_SECONDS = 4
"""A host that does not answer within this is out of reach."""
_DOWNLOAD_SECONDS = 600
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Release:
    """One tool's pinned release."""

    name: str
    version: str
    url: str
    """With ``{os}`` and ``{arch}``."""
    arch: dict[str, str]
    """The machine's architecture as this project spells it."""
    sha256: dict[str, str]
    """By ``os-arch``, in the project's own spelling."""


RELEASES: dict[str, Release] = {
    "kind": Release(
        "kind",
        "v0.33.0",
        "https://kind.sigs.k8s.io/dl/v0.33.0/kind-{os}-{arch}",
        {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"},
        {
            "linux-amd64": "aee6151561422756b764a4ae28e7f44cda5af5a9eead3cc9985112b1de8d8e0d",
            "linux-arm64": "20022bee6cfcd5086cb7234d218e3454e6090022f2a8f55d1fa7fcf42c3867a2",
            "darwin-amd64": "5a99f26f57246dc9319dd294803313197a0f34d33c525b3ea8b655db5916ece0",
            "darwin-arm64": "0c8c7dbe5e23594a198b786c4bc13dacc101fa6196b0cb0b23a1ca44e61f4b4f",
        },
    ),
    "pulumi": Release(
        "pulumi",
        "v3.255.0",
        "https://get.pulumi.com/releases/sdk/pulumi-v3.255.0-{os}-{arch}.tar.gz",
        {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"},
        {
            "linux-x64": "cf559568e2c32f7fae56ea3de8ae5fa48973ba8c5aa9dd2b3dc0c8898fe50dba",
            "linux-arm64": "699fbc6ea848d997e9b3645487f108d27b1b55ec807c7576406131e6e080f0e3",
            "darwin-x64": "19672db74cd9158ebde97877224c6cd18def1c8024340378e3208f6ad6539200",
            "darwin-arm64": "adc6ae338ec877307869a26f74e5d3acc5fb2f590bfb19d00d50c3c8ed2e91b7",
        },
    ),
}

NODE_IMAGES: dict[str, str] = {
    "v1.37.0": "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5",
    "v1.36.4": "kindest/node:v1.36.4@sha256:099e049362a1526b2db71494e1947aae99bd16290d7c895f2b7ea312e3cbfaed",
    "v1.35.8": "kindest/node:v1.35.8@sha256:07b2536e30b803ed61d1677a79df6115f798ce64c80f9e22f6ed45afd09323c0",
    "v1.34.11": "kindest/node:v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d",
}
"""kind v0.33.0's node images, newest first: the first is the default."""

PROBE_IMAGE = "python:3.13-slim@sha256:8d9d0b8bcf6506481eae4907c18f5e3e7902e629f5f6d684f9e7c32e85e3ddf0"
"""Carries a Python 3 with its standard library: all that the agent needs."""


def location(name: str, cache: Path) -> Path:
    """Where in the cache the executable of a pinned release is, once it was fetched."""
    return cache / "releases" / f"{name}-{RELEASES[name].version}" / name


def reaches(host: str, port: int = 443) -> bool:
    """Whether a host accepts a connection within seconds; behind a proxy this can't be tested, and is assumed."""
    if any(name.lower() in ("https_proxy", "all_proxy") for name in os.environ):
        return True
    answered = threading.Event()

    def connect() -> None:
        with suppress(OSError), socket.create_connection((host, port), timeout=CONNECT_SECONDS):
            answered.set()

    # In a thread that may be left behind: looking a name up has no deadline, where its servers do not answer.
    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(CONNECT_SECONDS + 1)
    return answered.is_set()


def fetch(name: str, cache: Path) -> Path:
    """The executable of a pinned release, fetched into the cache unless it is there.

    Raises:
        ToolMissing: no release for this machine, its host is out of reach, or the checksum differs.
        DiskError: the cache can't be written.
    """
    release = RELEASES[name]
    target = location(name, cache)
    if target.exists():
        return target
    system = platform.system().lower()
    arch = release.arch.get(platform.machine().lower(), "")
    expected = release.sha256.get(f"{system}-{arch}")
    if expected is None:
        raise ToolMissing(f"{name}: no pinned release for {platform.system()} on {platform.machine()}")
    url = release.url.format(os=system, arch=arch)
    with as_disk_error(target.parent, what="cache", fix="name another one: K8SSEC_CACHE=DIR"):
        _fetch_into(target, url, expected)
    return target


def _fetch_into(target: Path, url: str, expected: str) -> None:
    name = target.name
    target.parent.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent.parent) as scratch:
        file = Path(scratch) / "download"
        _download(url, file)
        found = _sha256(file)
        if found != expected:
            raise ToolMissing(f"{name}: {url} has sha256 {found}, expected {expected}", fix="do not use that file")
        made = _unpacked(file, Path(scratch) / "out", name)
        # Renamed as a whole: another process sees all of it or nothing.
        try:
            made.rename(target.parent)
        except OSError:
            if not target.exists():
                raise


def _download(url: str, file: Path) -> None:
    host = urllib.parse.urlsplit(url).hostname or ""
    if not reaches(host):
        raise ToolMissing(f"{url}: out of reach: no answer from {host} within seconds")
    end = time.monotonic() + _DOWNLOAD_SECONDS
    with _reached(url):
        answer = urllib.request.urlopen(url, timeout=CONNECT_SECONDS)  # noqa: S310 - https
    with answer, file.open("wb") as out:
        while True:
            with _reached(url):
                # As it comes: read() waits until a chunk is full, and a host that trickles would never meet the deadline.
                chunk = answer.read1(_CHUNK)
            if not chunk:
                return
            if time.monotonic() > end:
                raise ToolMissing(f"{url}: not fetched within {_DOWNLOAD_SECONDS} s")
            out.write(chunk)  # what fails here is not the host's fault


@contextmanager
def _reached(url: str) -> Iterator[None]:
    """Say of what fails inside that the host is out of reach."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise ToolMissing(f"{url}: out of reach: {getattr(error, 'reason', error)}") from error


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _unpacked(file: Path, out: Path, name: str) -> Path:
    """A folder with the executables, whether the release is a tarball or the executable itself."""
    if tarfile.is_tarfile(file):
        with tarfile.open(file) as archive:
            archive.extractall(out, filter="data")
        (inner,) = out.iterdir()
        return inner
    out.mkdir()
    shutil.move(file, out / name)
    (out / name).chmod(0o755)
    return out
