"""The tools and images: where each was found, in which version, and whether what is missing could be fetched."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

from pytest_k8ssec.doctor.finding import Diagnosis, at_least, error, ok, warning
from pytest_k8ssec.errors import CommandError, ToolMissing
from pytest_k8ssec.machine import docker, releases, tools
from pytest_k8ssec.machine.tools import GET, LOAD, Image, Tool

_MINIMUM = {"kind": "v0.27.0", "pulumi": "v3.200.0"}
"""kind: the first that loads images into nodes with containerd 2. pulumi: what its Python package asks for."""


def examine_tools() -> Iterator[Diagnosis]:
    """kind, Pulumi, its language host and its provider."""
    yield _tool("kind")
    pulumi = _tool("pulumi")
    yield pulumi
    yield _language_host()
    yield _provider()


def examine_images() -> Iterator[Diagnosis]:
    """The images of nodes and probes."""
    for subject, choose in (("node image", tools.choose_node_image), ("probe image", tools.choose_probe_image)):
        try:
            yield _image(subject, choose())
        except (ToolMissing, CommandError) as failed:
            yield error(subject, failed.message, failed.fix or LOAD)


def _tool(name: str) -> Diagnosis:
    found = tools.installed(name)
    if found is None:
        return _to_fetch(name)
    told = f"{_where(found)}"
    new_enough = at_least(found.version, _MINIMUM[name])
    if new_enough is None:
        return warning(name, f"{told}: does not report its version", f"make sure that it is {_MINIMUM[name]} or newer")
    if not new_enough:
        return warning(
            name,
            f"{told}: is older than {_MINIMUM[name]}",
            f"update it; or take it off PATH, and {releases.RELEASES[name].version} is fetched",
        )
    return ok(name, told)


def _to_fetch(name: str) -> Diagnosis:
    release = releases.RELEASES[name]
    host = urlsplit(release.url).hostname or ""
    if releases.reaches(host):
        return ok(name, f"neither on PATH nor in the cache: {release.version} is fetched from {host} when it is needed")
    return error(name, f"neither on PATH nor in the cache, and {host} is out of reach", GET)


def _language_host() -> Diagnosis:
    """Python and Node.js programs run without one, so its lack matters to other languages only."""
    subject, name = "pulumi language host", "pulumi-language-python"
    pulumi = tools.installed("pulumi")
    beside = pulumi.path.resolve().with_name(name) if pulumi else None
    if found := shutil.which(name) or (beside if beside and beside.exists() else None):
        return ok(subject, str(found))
    return warning(
        subject,
        f"{name} is not there: Python stacks run inline, Node.js ones by a host of ours; of other languages only those run"
        " whose host is there",
        "for others, install the official Pulumi release",
    )


def _provider() -> Diagnosis:
    subject = "kubernetes provider"
    found = tools.find_provider()
    if found is None:
        return ok(subject, "not on PATH: Pulumi fetches the official one when it is needed")
    return ok(subject, _where(found))


def _image(subject: str, image: Image) -> Diagnosis:
    if docker.has_image(image.reference):
        return ok(subject, f"{image.reference} ({image.origin})")
    if tools.reaches_registry(image.reference):
        return ok(subject, f"{image.reference}: not in the local store, is pulled when it is needed")
    return error(subject, f"{image.reference}: not in the local store, and its registry is out of reach", LOAD)


def _where(found: Tool) -> str:
    return " ".join(filter(None, [found.version, f"at {found.path}", f"({found.origin})"]))
