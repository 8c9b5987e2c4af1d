"""kube-bench: on each node, as root, with the newest edition of the CIS benchmark that it knows."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

from bench.fetch import binary, sources, version
from bench.peers.interface import About, Report
from bench.places import TOOLS, Place
from pytest_k8ssec.clusters.interface import Node
from pytest_k8ssec.errors import ProbeError

_NAME = "kube-bench"
_MODULE = "github.com/aquasecurity/kube-bench"
_SECONDS = 180
_BENCHMARK = "cis-1.10"
_MANUAL = "Test marked as a manual test"
_FAILING = {"FAIL", "WARN"}
_OURS = re.compile(r"namespace: k8ssec-|name: k8ssec-(?!attacker-|twin-)")
"""Pods that our own probes happen to have, besides the footholds in the stack's namespaces."""
_GENERATED = (
    (re.compile(r"(pod_name: \S+?)(-[a-z0-9]{8,10})?-[a-z0-9]{5,6}(?= |$)"), r"\1"),
    (re.compile(r"-k8ssec-[0-9a-f]{8}[a-z0-9-]*"), ""),
)
"""What a pod is called besides what its author called it."""
_RUN = (
    f"cd {TOOLS}; chmod +x {_NAME} helper_scripts/*; "
    f'export KUBECONFIG=/etc/kubernetes/admin.conf PATH="$PATH:{TOOLS}/helper_scripts"; '
    f'exec ./{_NAME} "$@" --config-dir {TOOLS}/cfg --config {TOOLS}/cfg/config.yaml'
)
_AS_BASH = 'mount --bind /bin/bash /bin/sh; exec /bin/bash -c "$0" "$@"'
"""Its audits are scripts for /bin/sh that use what Debian's lacks and the shell of its own image has: without that they
call everything compliant. In a mount namespace of its own it gets bash."""
_NAMED = re.compile(r"is_compliant: false|, automountServiceAccountToken: (true|notset)")
"""A line of a check's evidence that names a subject which does not comply."""


class KubeBench:
    """See :class:`bench.peers.interface.Peer`."""

    @property
    def about(self) -> About:
        """See :class:`bench.peers.interface.Peer`."""
        return About(
            _NAME,
            version(_NAME),
            "compares nodes' files, flags and objects with the CIS Kubernetes Benchmark, as root on each node",
            (
                f"{_BENCHMARK} is the newest edition that it has; this Kubernetes is newer.",
                (
                    "A check counts where it says FAIL or WARN. Those that it only asks a person to make are out of "
                    "its scope."
                ),
            ),
        )

    def fetch(self) -> None:
        """See :class:`bench.peers.interface.Peer`."""
        binary(_NAME)

    def run(self, place: Place) -> Report:
        """All its targets on the control plane, and `node` on the others."""
        for node in place.cluster.nodes:
            place.put(node, binary(_NAME), _NAME)
            for folder in ("cfg", "helper_scripts"):
                place.put(node, sources(_NAME, _MODULE) / folder, folder)
        started = time.monotonic()
        reports = [_on(place, node) for node in place.cluster.nodes]
        return Report.together(reports, time.monotonic() - started)


def read(said: str, where: str) -> frozenset[str]:
    """Checks that failed, and each of the subjects that one names as not compliant.

    Raises:
        ProbeError: there is no report.
    """
    try:
        report = json.loads(said[said.index("{") :])
        return frozenset(
            finding
            for section in report["Controls"]
            for group in section["tests"]
            for result in group["results"]
            for finding in _failures(result, where)
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ProbeError(f"{_NAME} on {where}: gave no report", details=said[-2000:]) from error


def _failures(result: dict[str, Any], where: str) -> Iterator[str]:
    if result["status"] not in _FAILING or result.get("reason") == _MANUAL:
        return
    named = [line.strip(" *") for line in result["actual_value"].splitlines() if _NAMED.search(line)]
    check = f"{where}: {result['test_number']} {result['test_desc']}"
    if not named:
        yield check
    yield from (f"{check} ({_given(line)})" for line in named if not _OURS.search(line))


def _given(line: str) -> str:
    for pattern, kept in _GENERATED:
        line = pattern.sub(kept, line)
    return line


def _on(place: Place, node: Node) -> Report:
    targets = "master,etcd,controlplane,node,policies" if node.control_plane else "node"
    argv = ["run", "--targets", targets, "--benchmark", _BENCHMARK, "--json"]
    done = place.cluster.on_node(
        node, ["unshare", "--mount", "sh", "-c", _AS_BASH, _RUN, _NAME, *argv], deadline=_SECONDS, check=False
    )
    where = "control plane" if node.control_plane else "worker"
    return Report(read(done.text or done.errors, where), commands=(f"{_NAME} {' '.join(argv)}",))
