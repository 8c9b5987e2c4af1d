"""What API servers wrote into their audit logs, looked for on their nodes."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import NoAccess, ProbeError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.facts.node import OWN, argument_document, arguments, control_planes, node_source

_PROCESS = "kube-apiserver"
_POLICY = "audit-policy-file"
_EVERY = 0.5
_NO_FILE = 3
_NO_PROCESS = 4
_SEARCH = rf"""
root=/proc/$(pgrep {shlex.join(OWN)} {_PROCESS})/root
[ -d "$root" ] || exit {_NO_PROCESS}
set -- "$root${{1%.*}}"*
[ -e "$1" ] || exit {_NO_FILE}
grep -hF -f - -- "$@"
"""
"""The log as the API server itself sees it, and what it was rotated to. What is looked for comes on standard input."""


@dataclass(frozen=True, slots=True)
class AuditLogs:
    """The audit logs of a cluster's API servers."""

    cluster: Cluster
    places: Sequence[tuple[Node, str]]
    """Each API server's node, and the path of its log, "" where it writes none."""

    def lines(self, *texts: str) -> list[str]:
        """All lines that hold one of these texts.

        Raises:
            ProbeError: a log could not be searched. A log that is not there was searched, and holds nothing.
        """
        return [line for node, path in self.places if path for line in self._lines(node, path, texts)]

    def events(self, marker: str, complete: Callable[[list[Body]], bool], *, deadline: float) -> list[Body]:
        """The events that carry a marker, once they are complete or the time to wait is over.

        Raises:
            ProbeError: a log could not be searched.
        """
        end = time.monotonic() + deadline
        while True:
            found = [json.loads(line) for line in self.lines(marker)]
            if complete(found) or time.monotonic() > end:
                return found
            time.sleep(_EVERY)

    def evidence(self, what: str, found: str) -> Evidence:
        """Evidence of a search.

        Args:
            found: what came of it, in words; "" where nothing was found.
        """
        where = ", ".join(
            f"{path or f'nothing, as {_PROCESS} writes no log,'} on {node.name}" for node, path in self.places
        )
        outcome = Outcome.DONE if found else Outcome.ABSENT
        return Evidence(node_source(self.places[0][0]), f"search {where} for {what}", outcome, found)

    def _lines(self, node: Node, path: str, texts: Sequence[str]) -> list[str]:
        wanted = "".join(f"{text}\n" for text in texts).encode()
        done = self.cluster.on_node(node, ["sh", "-c", _SEARCH, "search", path], stdin=wanted, check=False)
        if done.code == _NO_PROCESS:
            raise ProbeError(f"audit log on {node.name}: can't be searched: not exactly one {_PROCESS} runs")
        if done.code not in (0, 1, _NO_FILE):
            raise ProbeError(f"audit log on {node.name}: can't be searched", details=done.errors)
        return done.text.splitlines()


def named_in_policies(cluster: Cluster) -> frozenset[str]:
    """The users that rules of the API servers' audit policies name: a policy tells others apart by group and namespace only.

    Raises:
        NoAccess: no control-plane node can be entered.
        ProbeError: a policy can't be read.

    Source: https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/#audit-k8s-io-v1-PolicyRule
    """
    found: set[str] = set()
    for node in control_planes(cluster):
        if _POLICY in arguments(cluster, node, _PROCESS):
            policy = argument_document(cluster, node, _PROCESS, _POLICY)
            found.update(user for rule in policy.get("rules") or () for user in rule.get("users") or ())
    return frozenset(found)


def audit_logs(cluster: Cluster) -> AuditLogs:
    """Where the API servers write their audit events.

    Raises:
        NoAccess: no control-plane node can be entered, or the events go to where we can't look.
        ProbeError: a node could not tell.
    """
    places = []
    for node in control_planes(cluster):
        given = arguments(cluster, node, _PROCESS)
        path = given.get("audit-log-path", "")
        if path == "-" or (not path and "audit-webhook-config-file" in given):
            raise NoAccess(f"{_PROCESS} on {node.name}: sends its audit events to a place that can't be searched")
        places.append((node, path))
    return AuditLogs(cluster, places)
