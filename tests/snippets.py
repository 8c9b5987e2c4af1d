"""What the controls tell users to paste, taken apart: parts of a kind configuration, files beside it, objects, programs."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from pytest_k8ssec.catalogue.control import Control
from pytest_k8ssec.catalogue.packaged import packaged_controls

Body = dict[str, Any]

KIND, AFTER = "kind.yaml", "kind-after.yaml"
_NAMED = re.compile(r"# ([\w-]+\.yaml)\b")
_PLUGINS = "enable-admission-plugins"
_LATER = ("sup-pull-auth",)
"""Controls whose snippets are for a cluster that pulls every image: nothing that kind loads would start there."""

SECRET = "4dabf18193072939515e22adb298388d"
"""Key of Pulumi's mark on what is secret."""
_RUN = """
import json, sys
import pulumi
from pulumi.runtime import mocks, set_all_config, test

found = []

class Mocks(mocks.Mocks):
    def new_resource(self, args):
        found.append(args.inputs)
        return args.name, args.inputs
    def call(self, args):
        return {}

pulumi.runtime.set_mocks(Mocks(), project="shop", stack="test", preview=True)
set_all_config({"shop:paymentsApiKey": "made-up", "shop:image": "shop:1.0"}, ["shop:paymentsApiKey"])
test(lambda: exec(compile(sys.stdin.read(), "snippet", "exec"), {}))()
json.dump(found, sys.stdout)
"""


@dataclass(frozen=True)
class Document:
    """One document of a YAML snippet."""

    control: str
    file: str
    """Which file it belongs into, "" for an object of the Kubernetes API."""
    body: Body
    text: str


def documents(control: Control) -> Iterator[Document]:
    """The documents of a control's YAML snippets."""
    for snippet in control.snippets:
        if snippet.language == "yaml":
            for part in re.split(r"^---\n", snippet.text, flags=re.MULTILINE):
                body = yaml.safe_load(part)
                assert isinstance(body, dict), f"{control.id}: a part of its snippet is no mapping"
                named = _NAMED.match(part)
                yield Document(control.id, named[1] if named else "", body, part)


def texts(language: str) -> dict[str, str]:
    """Control to its snippet in one language."""
    return {one.id: each.text for one in packaged_controls() for each in one.snippets if each.language == language}


def all_documents() -> list[Document]:
    """The documents of all controls."""
    return [each for control in packaged_controls() for each in documents(control)]


def manifests() -> list[Document]:
    """Those that are objects of the Kubernetes API."""
    return [each for each in all_documents() if not each.file]


def for_a_cluster() -> list[Document]:
    """Those that together make a hardened cluster."""
    return [each for each in all_documents() if each.file and each.control not in _LATER]


def kind_configuration(parts: Iterable[Document]) -> Body:
    """One kind configuration of all those parts, as a person would paste them together.

    Raises:
        AssertionError: two of them say different things about the same.
    """
    found: Body = {}
    patches: dict[str, Body] = {}
    for part in parts:
        body = copy.deepcopy(part.body)
        for patch in body.pop("kubeadmConfigPatches", []):
            each = yaml.safe_load(patch)
            merge(patches.setdefault(each["kind"], {}), each, part.control)
        mounts = [mount for node in body.pop("nodes", []) for mount in node["extraMounts"]]
        found.setdefault("mounts", []).extend(each for each in mounts if each not in found["mounts"])
        merge(found, body, part.control)
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": "control-plane", "extraMounts": found.pop("mounts")}, {"role": "worker"}],
        **found,
        "kubeadmConfigPatches": [yaml.safe_dump(each) for each in patches.values()],
    }


def merge(into: Body, more: Mapping[str, Any], whose: str) -> None:
    """Add what another one says; lists of names are joined."""
    for key, value in more.items():
        if key not in into:
            into[key] = value
        elif isinstance(value, dict):
            merge(into[key], value, whose)
        elif key == _PLUGINS:
            into[key] = ",".join(dict.fromkeys(f"{into[key]},{value}".split(",")))
        elif isinstance(value, list):
            into[key] += [each for each in value if each not in into[key]]
        else:
            assert value == into[key], f"{whose}: {key} is {value!r}, and {into[key]!r} in another snippet"


def contained(small: Any, big: Any) -> bool:
    """Whether all that one says is said by the other too: a path by its file's name, a list of names name by name."""
    if isinstance(small, dict) and isinstance(big, dict):
        return all(key in big and contained(value, big[key]) for key, value in small.items())
    if isinstance(small, list) and isinstance(big, list):
        return all(any(contained(each, other) for other in big) for each in small)
    if isinstance(small, str) and isinstance(big, str):
        if small.endswith(".yaml"):
            return small.rpartition("/")[2] == big.rpartition("/")[2]
        return set(small.split(",")) <= set(big.split(","))
    return bool(type(small) is type(big) and small == big)


@cache
def declared(control: str) -> list[Body]:
    """What a Pulumi snippet declares."""
    return objects(texts("python")[control])


def objects(program: str) -> list[Body]:
    """What a Pulumi program declares, found by running it without an engine: a name that there is not would fail."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN],
        input=program,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return list(json.loads(done.stdout))


def revealed(value: Any) -> Any:
    """The same without Pulumi's mark on what is secret, and with whole numbers, as a manifest has it."""
    if isinstance(value, dict):
        return revealed(value["value"]) if SECRET in value else {key: revealed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [revealed(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
