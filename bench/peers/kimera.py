"""kimera: through the API with the administrator's rights, a namespace of the stack at a time."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from bench.fetch import packages
from bench.peers.interface import About, Report
from bench.places import Place
from pytest_k8ssec.errors import CommandError, ProbeError
from pytest_k8ssec.machine.process import run

_NAME = "kimera"
_SECONDS = 180
_IN_PODS = ("C1", "E1", "E2", "E3")
"""Techniques that it runs inside a pod: token theft, and ways out of the container."""
_IN_NAMESPACES = ("C3",)
"""Through the API: credentials in ConfigMaps."""


class Kimera:
    """See :class:`bench.peers.interface.Peer`."""

    @property
    def about(self) -> About:
        """See :class:`bench.peers.interface.Peer`."""
        return About(
            _NAME,
            packages(_NAME).version,
            "judges the workloads of a namespace, and tries admission, RBAC and network policies, through the API",
            (
                (
                    "Of its techniques those are run that are about a sabotage here and change nothing: "
                    f"{', '.join((*_IN_PODS, *_IN_NAMESPACES))}."
                ),
                (
                    "Its network checks start a pod of busybox, which a namespace that enforces `restricted` refuses, "
                    "and which is out of reach where only package registries are: then it says that it could not tell."
                ),
            ),
        )

    def fetch(self) -> None:
        """See :class:`bench.peers.interface.Peer`."""
        packages(_NAME).build()

    def run(self, place: Place) -> Report:
        """All that it has for each namespace, and techniques in one pod a namespace.

        Raises:
            ProbeError: the cluster carries no stack: it judges nothing else.
        """
        if place.stack is None:
            raise ProbeError(f"{_NAME}: this cluster carries no stack, and it judges nothing else")
        pods = {each.name: each.pod.vantage for each in place.footholds()}
        silent = f"a pod in {place.namespaces[0]}"
        twin = f"twin of {next(each for each in place.stack.workloads() if each.kind == 'Deployment')}"
        started = time.monotonic()
        reports = []
        for namespace in place.namespaces:
            reports.append(_kimera(place, namespace, "assess", "--json"))
            reports.append(_kimera(place, namespace, "validate-control", "--type", "all", "--json"))
            reports += [_kimera(place, namespace, "technique", "run", each, "--json") for each in _IN_NAMESPACES]
        for name, techniques in ((silent, _IN_PODS[:1]), (twin, _IN_PODS)):
            pod = pods[name]
            reports += [
                _kimera(place, pod.namespace, "technique", "run", each, "--pod", pod.pod, "--json", where=name)
                for each in techniques
            ]
        return Report.together(reports, time.monotonic() - started)


def read(said: str, where: str) -> tuple[frozenset[str], frozenset[str]]:
    """Findings, and what it could not tell, of the JSON documents between its lines of progress."""
    findings: set[str] = set()
    unclear: set[str] = set()
    for document in _documents(said):
        for text, is_finding in _findings(document):
            (findings if is_finding else unclear).add(f"{where}: {text}")
    return frozenset(findings), frozenset(unclear)


def _documents(said: str) -> Iterator[dict[str, Any]]:
    decoder, position = json.JSONDecoder(), 0
    while (position := said.find("{", position)) >= 0:
        try:
            document, position = decoder.raw_decode(said, position)
        except ValueError:
            position += 1
            continue
        if isinstance(document, dict):
            yield document


def _findings(document: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    for found in document.get("findings", ()):
        yield f"assess {found['check_id']} of {found['target']}", True
    for result in document.get("results", ()):
        if result["verdict"] in {"fail", "error"}:
            yield (
                f"validate {result['control_type']} {result['control_name']}: {result['test_description']}",
                result["verdict"] == "fail",
            )
    if document.get("technique_id") and document.get("success"):
        yield f"technique {document['technique_id']} {document['technique_name']}: success", True


def _kimera(place: Place, namespace: str, *arguments: str, where: str = "") -> Report:
    folder = packages(_NAME).path
    env = {
        "PYTHONPATH": str(folder),
        "KUBECONFIG": str(place.cluster.kubeconfig),
        "PATH": "/usr/bin:/bin",
        "HOME": str(place.cluster.workdir),
        "COLUMNS": "20000",  # it breaks the lines of its JSON at the terminal's width
    }
    argv = ["--namespace", namespace, "--non-interactive", *arguments]
    try:
        done = run(
            [sys.executable, str(folder / "bin" / _NAME), *argv],
            deadline=_SECONDS,
            env=env,
            cwd=place.cluster.workdir,
            check=False,
        )
    except CommandError as error:
        raise ProbeError(f"{_NAME} {namespace}: {error.message}", details=error.details) from error
    if not any(True for _ in _documents(done.text)):
        raise ProbeError(f"{_NAME} {' '.join(arguments)}: gave no report", details=done.errors)
    findings, unclear = read(done.text, where or f"namespace {namespace}")
    told = ["$POD" if before == "--pod" else word for before, word in zip(["", *argv], argv, strict=False)]
    return Report(findings, unclear, (f"{_NAME} {' '.join(told)}",))
