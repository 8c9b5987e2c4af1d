"""Sockets on a node that are our own listeners': pods of ours that share their node's network listen there as well."""

from __future__ import annotations

from typing import Literal

from pytest_k8ssec.clusters.interface import Cluster, Node

_MARK = "X-K8ssec"
"""Stands in the program of each listener of ours (agent/remote/pod_listener.py), which its command line carries."""
_SCRIPT = r"""
pids=$(grep -lsaF "$1" /proc/[0-9]*/cmdline | cut -d / -f 3 | paste -s -d '|' -)
[ -n "$pids" ] || exit 0
all=$(ss -H -l "$2" -n -p) || exit 1
echo "$all" | grep -E "pid=($pids)," | while read -r _ _ _ local _; do echo "${local##*:}"; done
exit 0
"""


def own_sockets(cluster: Cluster, node: Node, protocol: Literal["TCP", "UDP"] = "TCP") -> set[int]:
    """The ports of a node on which listeners of ours listen; also those of a pod that has just been deleted.

    Raises:
        ProbeError: the node could not tell.
    """
    done = cluster.on_node(node, ["sh", "-c", _SCRIPT, "own-sockets", _MARK, f"-{protocol[0].lower()}"])
    return {int(port) for port in done.text.split()}
