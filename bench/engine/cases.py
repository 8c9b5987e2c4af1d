"""The cases that cyclonus generates to try a network with, as objects before and after each of their steps.

cyclonus' own pods stand in three namespaces, three in each, and listen on ports 80 and 81 of TCP, UDP and SCTP.
"""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Body = dict[str, Any]
NAMESPACES = ("x", "y", "z")
_PODS = ("a", "b", "c")
_PORTS = [
    {"name": f"serve-{number}-{protocol.lower()}", "containerPort": number, "protocol": protocol}
    for number in (80, 81)
    for protocol in ("SCTP", "TCP", "UDP")  # in the order in which both programs go through them
]
_SECONDS = 120


@dataclass
class CyclonusCase:
    """One case at one of its steps: all objects that are there."""

    words: str
    namespaces: dict[str, Body] = field(default_factory=dict)
    pods: dict[tuple[str, str], Body] = field(default_factory=dict)
    policies: dict[tuple[str, str], Body] = field(default_factory=dict)

    def store(self, folder: Path) -> None:
        """Write the objects as the API server lists them."""
        folder.mkdir(parents=True, exist_ok=True)
        lists = {
            "namespaces": [*self.namespaces.values()],
            "pods": [*self.pods.values()],
            "networkpolicies": [*self.policies.values()],
        }
        for name, objects in lists.items():
            (folder / f"{name}.json").write_text(json.dumps({"items": objects}))

    def act(self, action: Body) -> None:
        """Do what one action of a step does. What only reads changes nothing."""
        for kind, said in action.items():
            if said:
                _ACTIONS[kind](self, said)


def generated(matcher: Path) -> Iterator[CyclonusCase]:
    """Each step of each case that cyclonus generates.

    Args:
        matcher: toolchain/go/cyclonus-matcher, as it was built.
    """
    address = _start().pods["z", "c"]["status"]["podIP"]
    told = subprocess.run(
        [str(matcher), "cases", address, *NAMESPACES], capture_output=True, check=True, timeout=_SECONDS
    )
    for each in json.loads(told.stdout):
        now = _start()
        for number, actions in enumerate(each["steps"], 1):
            for action in actions or ():
                now.act(action)
            now.words = f"{each['description']}, step {number}"
            yield copy.deepcopy(now)


def _start() -> CyclonusCase:
    """What cyclonus makes before the first step."""
    found = CyclonusCase("")
    for name in NAMESPACES:
        _namespace(found, {"Namespace": name, "Labels": {"ns": name}})
        for pod in _PODS:
            _pod(found, {"Namespace": name, "Pod": pod, "Labels": {"pod": pod}})
    return found


def _namespace(case: CyclonusCase, said: Body) -> None:
    name = said["Namespace"]
    case.namespaces[name] = {"metadata": {"name": name, "labels": said.get("Labels") or {}}}


def _no_namespace(case: CyclonusCase, said: Body) -> None:
    del case.namespaces[said["Namespace"]]
    for objects in (case.pods, case.policies):
        for key in [key for key in objects if key[0] == said["Namespace"]]:
            del objects[key]


def _pod(case: CyclonusCase, said: Body) -> None:
    space, name = said["Namespace"], said["Pod"]
    number = len(case.pods) + 2
    before = case.pods.get((space, name))
    case.pods[space, name] = {
        "metadata": {"name": name, "namespace": space, "labels": said.get("Labels") or {}},
        "spec": {"nodeName": f"node-{number}", "containers": [{"name": "c", "ports": _PORTS}]},
        "status": before["status"] if before else {"podIP": f"192.168.1.{number}"},
    }


def _no_pod(case: CyclonusCase, said: Body) -> None:
    del case.pods[said["Namespace"], said["Pod"]]


def _policy(case: CyclonusCase, said: Body) -> None:
    meta = said["Policy"]["metadata"]
    case.policies[meta["namespace"], meta["name"]] = said["Policy"]


def _no_policy(case: CyclonusCase, said: Body) -> None:
    del case.policies[said["Namespace"], said["Name"]]


_ACTIONS = {
    "CreatePolicy": _policy,
    "UpdatePolicy": _policy,
    "DeletePolicy": _no_policy,
    "CreateNamespace": _namespace,
    "SetNamespaceLabels": _namespace,
    "DeleteNamespace": _no_namespace,
    "ReadNetworkPolicies": lambda _case, _said: None,
    "CreatePod": _pod,
    "SetPodLabels": _pod,
    "DeletePod": _no_pod,
}
