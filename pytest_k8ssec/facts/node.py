"""What a node can tell about itself: which process listens where, and with which arguments one runs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import NoAccess, ProbeError
from pytest_k8ssec.errors.yaml_text import NotYaml, load_yaml
from pytest_k8ssec.evidence import Evidence, Outcome, Source
from pytest_k8ssec.facts.node_host import NodeHost

_WILDCARDS = {"*", "0.0.0.0", "::", "[::]"}  # noqa: S104 - addresses to look for, nothing binds

_LOOPBACK = ("127.", "::1", "::ffff:127.")
_COMM = 15
"""So many characters of a process's name does the kernel tell."""
OWN = ("--ns", "1", "--nslist", "net", "-x")
"""Options of pgrep(1) and pkill(1): exactly that name, in the node's own network namespace, where the control plane runs.
A pod of somebody's may have a process that is named alike, such as an etcd."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One address that a process of a node listens on."""

    process: str
    host: str
    """``*`` for all addresses."""
    port: int

    def addresses(self, node: Node) -> tuple[str, ...]:
        """The addresses by which it can be reached from the node itself."""
        return ("127.0.0.1", *node.addresses) if self.host == "*" else (self.host,)


def control_planes(cluster: Cluster) -> list[Node]:
    """The control-plane nodes that can be entered.

    Raises:
        NoAccess: there is none, as on a managed cluster.
    """
    found = [node for node in cluster.nodes if node.control_plane and node.container]
    if not found:
        raise NoAccess(f"cluster {cluster.name}: no control-plane node can be entered")
    return found


def node_source(node: Node) -> Source:
    """How evidence names what root on a node did or saw."""
    return Source("node", node.name, node.address, node.name, "root")


def hosts(cluster: Cluster) -> dict[str, NodeHost]:
    """testinfra hosts (docker backend) of all nodes that can be entered, by node name."""
    import testinfra  # heavy, and only what asks for files needs it

    return {node.name: testinfra.get_host(f"docker://{node.container}") for node in cluster.nodes if node.container}


def listeners(cluster: Cluster, node: Node, process: str) -> list[Listener]:
    """Where a process of that name listens (TCP), in the node's own network namespace.

    Raises:
        ProbeError: the node could not tell.
    """
    return [replace(each, process=process) for each in _listeners(cluster, node) if each.process == process[:_COMM]]


def heard_by_others(cluster: Cluster, node: Node, protocol: Literal["TCP", "UDP"] = "TCP") -> list[Listener]:
    """All that listens in a node's own network namespace where others than the node itself may reach it.

    What has a socket of UDP that is not connected listens; so do clients that wait for their answer.

    Returns:
        by port; the process is "" where the kernel tells none.

    Raises:
        ProbeError: the node could not tell.
    """
    return [each for each in _listeners(cluster, node, protocol) if not each.host.startswith(_LOOPBACK)]


def _listeners(cluster: Cluster, node: Node, protocol: Literal["TCP", "UDP"] = "TCP") -> list[Listener]:
    """By the names that the kernel tells, which are cut; a socket that several processes share is told of each."""
    found: set[Listener] = set()
    for line in cluster.on_node(node, ["ss", "-H", "-l", f"-{protocol[0].lower()}", "-n", "-p"]).text.splitlines():
        fields = line.split()
        if len(fields) < 4:
            continue
        host, _, port = fields[3].rpartition(":")
        host = host.partition("%")[0]
        at = "*" if host in _WILDCARDS else host.strip("[]")
        found.update(Listener(name, at, int(port)) for name in re.findall(r'\("([^"]*)"', line) or [""])
    return sorted(found, key=lambda each: (each.port, each.host, each.process))


def heard_at(cluster: Cluster, node: Node, process: str) -> list[tuple[str, int]]:
    """Each address and port at which a process of that name can be reached from its own node.

    Raises:
        ProbeError: the node could not tell.
    """
    return [(host, each.port) for each in listeners(cluster, node, process) for host in each.addresses(node)]


def _process_id(cluster: Cluster, node: Node, process: str) -> int:
    """Which process of a node bears a name.

    Raises:
        ProbeError: none does; or several do, and nothing tells which one is the cluster's own.
    """
    done = cluster.on_node(node, ["pgrep", *OWN, process[:_COMM]], check=False)
    if done.code > 1:
        raise ProbeError(f"node {node.name}: can't look for process {process}", details=done.errors)
    found = [int(word) for word in done.text.split()]
    if len(found) != 1:
        raise ProbeError(f"node {node.name}: {len(found) or 'no'} processes {process} run, instead of one")
    return found[0]


def arguments(cluster: Cluster, node: Node, process: str) -> dict[str, str]:
    """The ``--name=value`` arguments of a running process.

    Raises:
        ProbeError: no such process runs, or several do, or it is just ending: its arguments can no longer be read,
            which must not be taken for none (``proc(5)``: the command line of a zombie is empty).
    """
    line = cluster.on_node(node, ["cat", f"/proc/{_process_id(cluster, node, process)}/cmdline"]).text
    if not line:
        raise ProbeError(f"node {node.name}: process {process} has no command line, so it is ending")
    return dict(re.findall(r"--([\w-]+)=([^\0]*)", line))


def argument_evidence(cluster: Cluster, node: Node, process: str, *names: str) -> Evidence:
    """Evidence of what some arguments of a running process are; one that is not set reads ``(not set)``.

    Raises:
        ProbeError: no such process runs.
    """
    found = arguments(cluster, node, process)
    words = ", ".join(f"--{name}={found[name]}" if name in found else f"--{name} (not set)" for name in names)
    return Evidence(node_source(node), f"read the arguments of the running {process}", Outcome.DONE, words)


def argument_file(cluster: Cluster, node: Node, process: str, name: str) -> str:
    """The text of the file that an argument of a running process names, as that process sees it.

    Raises:
        ProbeError: no such process runs, it lacks the argument, or the file can't be read.
    """
    path = arguments(cluster, node, process).get(name)
    if not path:
        raise ProbeError(f"{process} on {node.name}: runs without --{name}")
    return cluster.on_node(node, ["cat", f"/proc/{_process_id(cluster, node, process)}/root{path}"]).text


def argument_document(cluster: Cluster, node: Node, process: str, name: str) -> dict[str, Any]:
    """The same where the file is YAML, as plain values; nothing where it is empty.

    Raises:
        ProbeError: as for :func:`argument_file`, or it is no mapping in YAML.
    """
    where = f"{process} on {node.name}: the file that --{name} names"
    try:
        document = load_yaml(argument_file(cluster, node, process, name))
    except NotYaml as error:
        raise ProbeError(f"{where}: is not valid YAML: {error}") from error
    if not isinstance(document or {}, dict):
        raise ProbeError(f"{where}: is not a mapping")
    return document or {}
