"""What API servers wrote into their audit logs, looked for on their nodes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_k8ssec.clusters.api import Body
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import NoAccess, ProbeError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.probes.nodefacts import arguments, control_planes, node_source

_PROCESS = "kube-apiserver"
_EVERY = 0.5
_NO_FILE = 3
_SEARCH = rf"""
root=/proc/$(pidof -s {_PROCESS})/root
set -- "$root${{1%.*}}"*
[ -e "$1" ] || exit {_NO_FILE}
grep -hF -f - -- "$@"
"""
"""The log as the API server itself sees it, and what it was rotated to. What is looked for comes on standard input."""


@dataclass(frozen=True, slots=True)
class AuditLog:
    """The audit log of one API server."""

    cluster: Cluster
    node: Node
    path: str
    """"" where that API server writes none."""

    def lines(self, *texts: str) -> list[str]:
        """All lines that hold one of these texts.

        Raises:
            ProbeError: the log could not be searched. A log that is not there was searched, and holds nothing.
        """
        if not self.path:
            return []
        wanted = "".join(f"{text}\n" for text in texts).encode()
        done = self.cluster.on_node(self.node, ["sh", "-c", _SEARCH, "search", self.path], stdin=wanted, check=False)
        if done.code not in (0, 1, _NO_FILE):
            raise ProbeError(f"audit log on {self.node.name}: can't be searched", details=done.errors)
        return done.text.splitlines()

    def evidence(self, what: str, found: str) -> Evidence:
        """Evidence of a search.

        Args:
            found: what came of it, in words; "" where nothing was found.
        """
        where = self.path or f"no audit log: {_PROCESS} runs without --audit-log-path"
        return Evidence(
            node_source(self.node), f"search {where} for {what}", Outcome.DONE if found else Outcome.ABSENT, found
        )


def audit_logs(cluster: Cluster) -> list[AuditLog]:
    """The audit log of each API server.

    Raises:
        NoAccess: no control-plane node can be entered, or the events go to where we can't look.
        ProbeError: a node could not tell.
    """
    found = []
    for node in control_planes(cluster):
        given = arguments(cluster, node, _PROCESS)
        path = given.get("audit-log-path", "")
        if path == "-" or (not path and "audit-webhook-config-file" in given):
            raise NoAccess(f"{_PROCESS} on {node.name}: sends its audit events to where they can't be looked for")
        found.append(AuditLog(cluster, node, path))
    return found


def await_events(
    logs: Sequence[AuditLog], marker: str, complete: Callable[[list[Body]], bool], *, deadline: float
) -> list[Body]:
    """The events that carry a marker, once they are complete or patience has ended.

    Raises:
        ProbeError: a log could not be searched.
    """
    end = time.monotonic() + deadline
    while True:
        events = [json.loads(line) for log in logs for line in log.lines(marker)]
        if complete(events) or time.monotonic() > end:
            return events
        time.sleep(_EVERY)
