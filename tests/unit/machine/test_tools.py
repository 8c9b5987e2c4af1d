"""Tools and images: where each is found, in which order, and what is said of one that is nowhere."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pytest_k8ssec.errors import ToolMissing
from pytest_k8ssec.machine import releases, tools
from pytest_k8ssec.machine.releases import NODE_IMAGES, PROBE_IMAGE, RELEASES
from tests.unit.machine.dockers import FakeDocker

PINNED = next(iter(NODE_IMAGES))
"""The default version of the nodes."""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, empty; and no host answers."""
    made = tmp_path / "bin"
    made.mkdir()
    monkeypatch.setenv("PATH", str(made))
    monkeypatch.setattr(releases, "reaches", lambda *_: False)
    return made


def program(file: Path, says: str = "") -> Path:
    """An executable that says something."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\necho {says}\n")
    file.chmod(0o755)
    return file


def built(**entries: Any) -> None:
    """What `make tools` has noted in the cache."""
    tools.cache_root().mkdir(parents=True, exist_ok=True)
    (tools.cache_root() / "tools.json").write_text(json.dumps(entries))
    tools._manifest.cache_clear()


# -- executables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["kind", "pulumi"])
def test_each_place_is_looked_at_in_its_order(path: Path, name: str) -> None:
    """PATH, what the toolchain built, the release that was fetched: each is found once those before it are gone."""
    release = program(releases.location(name, tools.cache_root()))
    made = program(tools.cache_root() / "built" / name)
    built(**{name: {"path": str(made), "version": "v9.8.7"}})
    mine = program(path / name, f"{name} v1.2.3 go1.27 linux/amd64")
    for file, version, origin in (
        (mine, "v1.2.3", "PATH"),
        (made, "v9.8.7", "toolchain"),
        (release, RELEASES[name].version, "release"),
    ):
        assert tools.Tool(file, version, origin) == tools.find_tool(name) == tools.installed(name)
        file.unlink()
    assert tools.installed(name) is None


@pytest.mark.parametrize("name", ["kind", "pulumi"])
def test_a_missing_release_is_told_with_what_was_tried(path: Path, name: str) -> None:
    """All three places, why the third failed, and the one command that gets it."""
    with pytest.raises(ToolMissing) as caught:
        tools.find_tool(name)
    assert caught.value.message.startswith(f"{name}: not on PATH, not in the cache, and https://")
    assert "out of reach" in caught.value.message
    assert tools.GET == caught.value.fix
    assert "K8SSEC_CACHE" in tools.GET


@pytest.mark.parametrize("name", ["kubectl", "pulumi-resource-kubernetes"])
def test_a_missing_tool_that_has_no_release(path: Path, name: str) -> None:
    """Where nothing is published, the cache is the last place."""
    with pytest.raises(ToolMissing) as caught:
        tools.find_tool(name)
    assert (f"{name}: neither on PATH nor in the cache", tools.GET) == (caught.value.message, caught.value.fix)


def test_a_release_is_fetched_if_nothing_is_here(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Into our own cache."""
    asked: list[Any] = []

    def fetch(*given: Any) -> Path:
        asked.append(given)
        return Path("/fetched/kind")

    monkeypatch.setattr(releases, "fetch", fetch)
    assert tools.Tool(Path("/fetched/kind"), RELEASES["kind"].version, "release") == tools.find_tool("kind")
    assert [("kind", tools.cache_root())] == asked


@pytest.mark.parametrize("text", ["", "{", "[]", '"kind"', '{"kind": "x"}', "\xff"])
def test_a_spoilt_note_of_the_toolchain_is_none(path: Path, text: str) -> None:
    """A cache that can't be read is as an empty one, and its fix is the same."""
    tools.cache_root().mkdir(parents=True)
    (tools.cache_root() / "tools.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ToolMissing, match="not in the cache"):
        tools.find_tool("kind")


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ("kind v0.33.0 go1.27 linux/amd64", "v0.33.0"),
        ("v3.255.0", "v3.255.0"),
        ("version unknown", ""),
        ("; exit 1", ""),
        ("; sleep 0; kill -9 $$", ""),
    ],
)
def test_the_version_is_what_the_tool_says(path: Path, says: str, expected: str) -> None:
    """A tool that says none is still found."""
    program(path / "kind", says)
    assert expected == tools.find_tool("kind").version


def test_what_is_on_path_and_not_executable_is_not_found(path: Path) -> None:
    """As the shell does."""
    program(path / "kind").chmod(0o644)
    assert tools.installed("kind") is None


def test_the_provider_may_be_missing(path: Path) -> None:
    """Pulumi fetches the official one by itself, so that is no error."""
    assert tools.find_provider() is None
    made = program(tools.cache_root() / "built" / "provider")
    built(**{"pulumi-resource-kubernetes": {"path": str(made), "version": "v4.30.0"}})
    assert tools.Tool(made, "v4.30.0", "toolchain") == tools.find_provider()
    mine = program(path / "pulumi-resource-kubernetes", "; exit 1")
    assert tools.Tool(mine, "", "PATH") == tools.find_provider()


def test_the_directory_of_a_language_host_that_was_built_is_told() -> None:
    """None where the toolchain built none, or it is gone."""
    assert tools.language_host_dirs() == ()
    made = program(tools.cache_root() / "built" / "pulumi-language-yaml")
    built(**{"pulumi-language-yaml": {"path": str(made), "version": "v1.25.0"}})
    assert tools.language_host_dirs() == (made.parent,)
    made.unlink()
    assert tools.language_host_dirs() == ()


@pytest.mark.parametrize(
    ("chosen", "xdg", "expected"),
    [("/c", "/x", "/c"), ("c", "/x", "{cwd}/c"), ("", "/x", "/x/k8ssec"), ("", "", "/h/.cache/k8ssec")],
)
def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, chosen: str, xdg: str, expected: str) -> None:
    """What was chosen, else XDG's, else beneath the home."""
    monkeypatch.setenv("K8SSEC_CACHE", chosen)
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    monkeypatch.setenv("HOME", "/h")
    assert Path(expected.format(cwd=Path.cwd())) == tools.cache_root()


# -- images -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (None, "v9.8.7"),
        ("9.8", "v9.8.7"),
        ("v9.8.7", "v9.8.7"),
        ("9", "v9.8.7"),
        ("v1.35", "v1.35.8"),
        ("1.35.8", "v1.35.8"),
        ("1", PINNED),
    ],
)
def test_the_node_image_has_the_version(fake_docker: FakeDocker, version: str | None, expected: str) -> None:
    """What was built here first, if it has the version; then the newest pin that does."""
    fake_docker.image("local/node:1")
    built(node_image={"ref": "local/node:1", "version": "v9.8.7"})
    found = tools.choose_node_image(version=version)
    assert (expected, NODE_IMAGES.get(expected, "local/node:1")) == (found.version, found.reference)


def test_a_built_image_that_is_gone_is_not_chosen(fake_docker: FakeDocker) -> None:
    """The note stayed, the image was removed: then the pins count."""
    built(
        node_image={"ref": "local/node:1", "version": "v9.8.7"}, probe_image={"ref": "local/probe:1", "version": "3.13"}
    )
    assert (NODE_IMAGES[PINNED], PROBE_IMAGE) == (
        tools.choose_node_image().reference,
        tools.choose_probe_image().reference,
    )
    fake_docker.image("local/probe:1")
    assert "local/probe:1" == tools.choose_probe_image().reference


def test_a_chosen_image_is_taken_whatever_its_version(fake_docker: FakeDocker) -> None:
    """The user knows; nothing is pulled that is there."""
    fake_docker.image("mine:1")
    assert tools.Image("mine:1", "", "chosen") == tools.node_image("mine:1", "1.20")
    assert not any(line.startswith("pull") for line in fake_docker.asked)


@pytest.mark.parametrize("version", ["1.3", "1.99", "v1.36.0", "2"])
def test_a_version_that_nobody_pinned_names_those_that_are(fake_docker: FakeDocker, version: str) -> None:
    """1.3 is not 1.35."""
    built(node_image={"ref": "local/node:1", "version": "v9.8.7"})
    with pytest.raises(ToolMissing) as caught:
        tools.choose_node_image(version=version)
    assert f"node image for Kubernetes {version}: none is pinned" == caught.value.message
    for known in (*NODE_IMAGES, "v9.8.7", "--k8ssec-node-image"):
        assert known in caught.value.fix


def test_missing_images_name_the_command_that_gets_them(
    fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours come from the toolchain; of one that the user chose, the name is to be checked."""
    monkeypatch.setattr(releases, "reaches", lambda *_: False)
    for ask, reference, fix in (
        (tools.probe_image, PROBE_IMAGE, tools.LOAD),
        (tools.node_image, NODE_IMAGES[PINNED], tools.LOAD),
        (lambda: tools.node_image("mine:1"), "mine:1", "check the name (`docker images` lists what is there)"),
    ):
        with pytest.raises(ToolMissing) as caught:
            ask()
        assert f"image {reference}: not in the local store, and its registry is out of reach" == caught.value.message
        assert fix == caught.value.fix
    assert not any(line.startswith("pull") for line in fake_docker.asked)


def test_an_image_is_pulled_where_its_registry_is_in_reach(
    fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What docker says of its failure is told."""
    monkeypatch.setattr(releases, "reaches", lambda *_: True)
    with pytest.raises(ToolMissing, match="image mine:1: can't be pulled") as caught:
        tools.node_image("mine:1")
    assert "not faked: pull --quiet mine:1" == caught.value.details
    assert "log in to its registry" in caught.value.fix


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("python:3.13-slim", ("registry-1.docker.io", 443)),
        ("kindest/node:v1@sha256:00", ("registry-1.docker.io", 443)),
        ("docker.io/kindest/node", ("registry-1.docker.io", 443)),
        ("quay.io/a/b:1", ("quay.io", 443)),
        ("registry:5000/a", ("registry", 5000)),
        ("localhost/a", ("localhost", 443)),
        ("localhost:5000/a", ("localhost", 5000)),
        ("registry:5000", ("registry-1.docker.io", 443)),
    ],
)
def test_each_image_has_its_registry(
    monkeypatch: pytest.MonkeyPatch, reference: str, expected: tuple[str, int]
) -> None:
    """A first part with a dot or a port is a host, as docker reads it."""
    monkeypatch.setattr(releases, "reaches", lambda *given: given == expected)
    assert tools.reaches_registry(reference)


def test_without_docker_an_image_says_so(path: Path) -> None:
    """The client comes before the image."""
    built(probe_image={"ref": "local/probe:1", "version": "3.13"})
    with pytest.raises(ToolMissing, match="docker: no client on PATH") as caught:
        tools.probe_image()
    assert "k8ssec doctor" in caught.value.fix
    assert not (Path(os.environ["PATH"]) / "docker").exists()
