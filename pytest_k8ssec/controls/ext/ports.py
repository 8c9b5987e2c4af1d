"""To the outside, nodes open only the ports that are meant to be open.

What is reached from outside is found from outside: search engines list etcds, kubelets and dashboards by the thousand. Each
node's address is tried from a container beside the nodes, on the ports that control planes and nodes are known for, and on
each that a Service or a pod of the cluster asks to be opened, and on each other TCP port that a node listens on, on more
than loopback, whoever it is. Ranges are not scanned. Where a node can't be entered, nobody knows what listens there, and
the control can't be held. These may be open: 6443 (the API server), 10250 (the kubelet, which API servers call; kubelet-*
judge what it answers) and 10256 (kube-proxy's health).

Not judged, but noted, is BGP (179) where kube-router is the cluster's network: nodes tell each other their routes by it,
and it listens to no others. What else kube-router 2.1 opens on each node, its health (20244) and GoBGP's own API (50051,
which asks for no credentials: who reaches it can change routes), it has no setting against: let a firewall keep all but
the node itself from them, as `toolchain/node/default-cni.yaml` of this project does.

Each port of UDP that a Service or a pod asks to be opened, or that a process of a node listens on, below those that the
kernel gives to clients, is sent a datagram: any answer is a breach. One that does not
answer its own node either gets no verdict, and a note. Nodes' ports that this machine publishes are tried too, at the
address that this machine has for others. Docker accepts such a connection before it has one to the node, so only an
answer from the node counts as open.

What is open on purpose is declared, with the reason, in `[tool.k8ssec.allow.ext-ports]` as `"30080" = "the shop"`, or
by what opens it, as a node port's number may be by chance: `"web/shop" = "reason"` or `"Service web/shop:http"` for a
Service or one port of it, `"DaemonSet ingress/controller"` or `"ingress/controller:443"` for host ports of pods.

Remediation: bind to 127.0.0.1 what only its own node needs, give Services type ClusterIP, take `hostPort` out of pods,
and let a firewall drop what is left. In a kind configuration, leave `networking.apiServerAddress` at 127.0.0.1.

```yaml
# kind.yaml
networking:
  apiServerAddress: 127.0.0.1
kubeadmConfigPatches:
  - |
    kind: ClusterConfiguration
    etcd:
      local:
        extraArgs:
          listen-client-urls: https://127.0.0.1:2379
          advertise-client-urls: https://127.0.0.1:2379
          listen-peer-urls: https://127.0.0.1:2380
---
# instead of type NodePort
apiVersion: v1
kind: Service
metadata:
  name: shop
spec:
  type: ClusterIP
  selector: {app.kubernetes.io/name: shop}
  ports:
    - port: 80
      targetPort: 8080
```

Sources: https://kubernetes.io/docs/reference/networking/ports-and-protocols/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from pytest_k8ssec.agent.tasks import Http, Tcp, Udp
from pytest_k8ssec.agent.vantage import NetworkVantage, probe
from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.catalogue.declared import Declared
from pytest_k8ssec.clusters.interface import Cluster, Node, Published
from pytest_k8ssec.clusters.kindconfig import KindConfig
from pytest_k8ssec.clusters.ports import API_SERVER_PORT, KUBELET_PORT
from pytest_k8ssec.errors import K8ssecError, NoAccess, SabotageError
from pytest_k8ssec.evidence import STOPPED, Evidence, Facts, Outcome, Source, got_through
from pytest_k8ssec.evidence.causes import Known
from pytest_k8ssec.facts.node import control_planes, heard_by_others, node_source
from pytest_k8ssec.facts.own_sockets import own_sockets
from pytest_k8ssec.machine import docker
from pytest_k8ssec.plain import few
from pytest_k8ssec.pods.pool import Pool
from pytest_k8ssec.probes.exposure import Opened, Opening, listener_here, on_node, opened_ports, openers
from pytest_k8ssec.probes.nodes_in_reach import entered_nodes, nodes_to_judge
from pytest_k8ssec.sabotages.exposed_port import exposed
from pytest_k8ssec.stack import Stack
from pytest_k8ssec.verdict import Judge

_KNOWN = (2379, 2380, 2381, 6443, 10248, 10249, 10250, 10255, 10256, 10257, 10258, 10259)
_MEANT = {API_SERVER_PORT, KUBELET_PORT, 10256}
_NETWORK_OWN = {("kube-router", 179)}
"""Ports by which nodes make the cluster's network, and the process that has to be the one that listens.

Source: https://github.com/cloudnativelabs/kube-router, v2.1.0, pkg/controllers/routing/network_routes_controller.go (BGP, whose
peers are the other nodes)."""
_NETWORK = "kind"
_TABLE = "port by where it was tried, from beside the nodes"
_LOCAL = ("127.", "::1")
_WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104 - addresses to look for, nothing binds


_EPHEMERAL = 32768
"""From here on the kernel gives ports of UDP to clients, which look like listeners."""
_TCP, _UDP, _PLAIN, _TLS = "TCP", "UDP", "HTTP", "TLS"


@control(
    severity=Severity.HIGH,
    subject="cluster",
    others=("C-0044", "C-0227", "C-0256"),
    dimensions=("place", "address", "port", "protocol"),
    blames=(Known,),
)
def test_ext_ports(
    judge: Judge,
    cluster: Cluster,
    deployed: Stack | None,  # noqa: ARG001 - what a stack opens is judged too, so it has to be there
    pool: Pool,
    outside: NetworkVantage,
    allowed: Mapping[str, str],
) -> None:
    """Connect to each node's ports, and to what this machine publishes of it, from beside the nodes."""
    declared = Declared(judge, allowed, "open")
    opened = opened_ports(cluster)
    servers = _by_family(address for node in cluster.nodes if node.control_plane for address in node.addresses)
    nodes = nodes_to_judge(judge, pool)
    planned = {node.name: _planned(judge, cluster, node, opened, declared) for node in nodes}
    for node in nodes:
        _exist(judge, node, planned[node.name], _TCP)
    for node in nodes:
        _connect(judge, outside, node, planned[node.name], servers, on_node(opened, node))
    entered_nodes(judge, nodes)
    _datagrams(judge, cluster, nodes, outside, declared)
    _published(judge, cluster, outside, declared, opened)
    declared.tell_unused()


def _planned(judge: Judge, cluster: Cluster, node: Node, opened: list[Opened], declared: Declared) -> dict[int, str]:
    """The ports of TCP to try on a node, and by whom each is, in words. Raises ProbeError."""
    asked_for = on_node(opened, node)
    heard = _heard(judge, cluster, node) if node.container else {}
    tried = sorted({*_KNOWN, *asked_for, *heard} - _MEANT)
    return {
        port: f" of {asked_for[port].by}" if port in asked_for else heard.get(port, "")
        for port in tried
        if not asked_for.get(port, Opening(port)).is_declared(declared)
    }


def _exist(judge: Judge, node: Node, ports: Iterable[int], protocol: str) -> None:
    """Say that there are these ports to try, at each address of the node."""
    for port in ports:
        for address in node.addresses:
            judge.coverage.exists(place=f"node {node.name}", address=address, port=port, protocol=protocol)


def _connect(
    judge: Judge,
    outside: NetworkVantage,
    node: Node,
    ports: Mapping[int, str],
    servers: Mapping[bool, str],
    asked_for: Mapping[int, Opening],
) -> None:
    """Connect to these ports of a node, at each of its addresses.

    Args:
        servers: an address of an API server, by family.
        asked_for: by port: what asks for it.
    """
    table = judge.table(_TABLE)
    for address in node.addresses:
        api_server = Tcp(servers.get(":" in address, address), API_SERVER_PORT)
        known, near, *answers = probe(
            outside, [api_server, Tcp(address, KUBELET_PORT), *(Tcp(address, port) for port in ports)]
        )
        case = judge.case(f"node {node.name} ({address})")
        case.positive("the API server is in reach", known, succeeded=known.outcome is Outcome.OPEN)
        case.positive("the node's kubelet is in reach", near, succeeded=near.outcome is Outcome.OPEN)
        column = f"node {node.name}{' by IPv6' if address in node.further and ':' in address else ''}"
        for (port, by), answer in zip(ports.items(), answers, strict=True):
            at = {"place": f"node {node.name}", "address": address, "port": port, "protocol": _TCP}
            cause = openers(by.removeprefix(" of "))
            what, used = f"connect to port {port}{by}", asked_for.get(port, Opening(port)).used
            case.attack(what, answer, through=got_through(answer), at=at, cause=cause, used=used)
            table.put(f"{port}{by}", column, answer, breach=got_through(answer))


def _datagrams(
    judge: Judge, cluster: Cluster, nodes: Sequence[Node], outside: NetworkVantage, declared: Declared
) -> None:
    """Ask each open port of UDP for any answer; what answers the node itself would answer."""
    opened, mute = opened_ports(cluster, "UDP"), []
    planned = {node.name: _planned_datagrams(cluster, node, opened, declared) for node in nodes}
    for node in nodes:
        _exist(judge, node, planned[node.name], _UDP)
    for node in nodes:
        ports = planned[node.name]
        tasks = [Udp(address, port, any_answer=True) for port in ports for address in node.addresses]
        if not tasks:
            continue
        # Where the node can't be entered, only an answer tells.
        near = probe(NetworkVantage(cluster, node), tasks) if node.container else probe(outside, tasks)
        for task, shown, answer in zip(tasks, near, probe(outside, tasks), strict=True):
            is_mute = not got_through(shown)
            where = f"port {task.port}/UDP of {ports[task.port]} on {node.name} ({task.host})"
            case = judge.case(where, required=False)
            case.positive("it answers its own node", shown, succeeded=got_through(shown))
            through = None if is_mute and answer.outcome in STOPPED else got_through(answer)
            at = {"place": f"node {node.name}", "address": task.host, "port": task.port, "protocol": _UDP}
            opening = on_node(opened, node, "UDP").get(task.port, Opening(task.port, protocol="UDP"))
            cause, used = openers(ports[task.port]), opening.used
            case.attack("get an answer to a datagram", answer, through=through, at=at, cause=cause, used=used)
            if is_mute and through is None:
                mute.append(where)
    if mute:
        judge.note(f"{len(mute)} ports of UDP do not answer even their own node, so no verdict: {few(mute)}")


def _planned_datagrams(cluster: Cluster, node: Node, opened: list[Opened], declared: Declared) -> dict[int, str]:
    """The ports of UDP to ask on a node, and by whom each is. Raises ProbeError."""
    asked_for = on_node(opened, node, "UDP")
    heard = {
        each.port: f"process {each.process}" if each.process else "the kernel"
        for each in (heard_by_others(cluster, node, "UDP") if node.container else ())
        if each.port < _EPHEMERAL
    }
    ours = own_sockets(cluster, node, "UDP") if heard.keys() - asked_for.keys() else set()
    return {
        port: asked_for[port].by if port in asked_for else heard[port]
        for port in sorted({*asked_for, *(heard.keys() - ours)})
        if not asked_for.get(port, Opening(port, protocol="UDP")).is_declared(declared)
    }


def _heard(judge: Judge, cluster: Cluster, node: Node) -> dict[int, str]:
    """The ports that a node's processes listen on for others, without our own; and by whom, where a list has them not.

    Raises:
        ProbeError: the node could not tell.
    """
    found: dict[int, set[str]] = {}
    unjudged = set()
    for each in heard_by_others(cluster, node):
        if (each.process, each.port) in _NETWORK_OWN:
            unjudged.add(f"{each.port} of {each.process}")
        else:
            found.setdefault(each.port, set()).add(each.process or "the kernel")
    if unjudged:
        judge.note(f"node {node.name}: listens on, and was not judged by: {', '.join(sorted(unjudged))}")
    # Asked last: a listener of ours that was seen before is known by then.
    ours = own_sockets(cluster, node) if found.keys() - _MEANT else set()
    return {
        port: "" if port in _KNOWN else f" of process {' and '.join(sorted(by))}"
        for port, by in found.items()
        if port not in ours
    }


def _published(
    judge: Judge, cluster: Cluster, outside: NetworkVantage, declared: Declared, opened: list[Opened]
) -> None:
    """Ask each port of this machine that leads to a node, at the address that the nodes' network has for this machine."""
    named: list[tuple[str, Node | None]] = [(node.name, node) for node in cluster.nodes]
    published = [
        (name, each, _leads_to(node, each.target, opened))
        for name, node in [*named, ("the load balancer", None)]
        for each in cluster.published(node)
        if not declared.covers(str(each.port))
        and not _leads_to(node, each.target, opened).has_declared_askers(declared)
    ]
    for _, each, _ in published:
        for protocol in (_PLAIN, _TLS):
            judge.coverage.exists(**_at_machine(each, protocol))
    machine = _by_family(cluster.machine_addresses)
    for v6 in (False, True):
        address = machine.get(v6, "" if v6 else next(iter(machine.values()), ""))
        found = [one for one in published if _is_v6(one[1]) is v6]
        if found:
            _ask_published(judge, outside, found, address)


def _ask_published(
    judge: Judge, outside: NetworkVantage, found: Sequence[tuple[str, Published, Opening]], machine: str
) -> None:
    tasks = [task for _, each, _ in found for task in _asked(each, machine)]
    try:
        with listener_here(machine) as ours:
            shown, *answers = probe(outside, [ours, *tasks])
    except NoAccess as error:  # then silence says nothing, but an answer still does
        shown = Evidence(Source("client", "this process"), "listen on this machine", Outcome.ERROR, str(error))
        answers = probe(outside, tasks)
    table = judge.table(_TABLE)
    for (name, each, behind), plain, tls in zip(found, answers[::2], answers[1::2], strict=True):
        case = judge.case(f"port {each.port} of this machine, published of {name}")
        # A firewall may hide our listener alone: that nothing is in reach here is never a reason to leave a port out.
        case.positive("a listener of ours on this machine is in reach", shown, succeeded=got_through(shown) or None)
        used = [(*names, str(each.port)) for names in behind.used] if behind.askers else [(str(each.port),)]
        for what, answer, kind in (("in plain text", plain, _PLAIN), ("over TLS", tls, _TLS)):
            through, at = _answered(answer), _at_machine(each, kind)
            case.attack(f"get an answer {what}", answer, through=through, at=at, used=used)
        table.put(f"{each.port}, published of {name}", "this machine, plain text", plain, breach=_answered(plain))
        table.put(f"{each.port}, published of {name}", "this machine, TLS", tls, breach=_answered(tls))


def _at_machine(published: Published, protocol: str) -> Facts:
    return {"place": "this machine", "address": published.host, "port": published.port, "protocol": protocol}


def _by_family(addresses: Iterable[str]) -> dict[bool, str]:
    """The first IPv4 address, by False, and the first IPv6 address, by True."""
    found: dict[bool, str] = {}
    for address in addresses:
        found.setdefault(":" in address, address)
    return found


def _is_v6(published: Published) -> bool:
    """Whether it has to be asked by IPv6: what listens on one family is closed by the other."""
    return ":" in published.host


def _leads_to(node: Node | None, port: int, opened: list[Opened]) -> Opening:
    """What is behind a published port: a node's port, or that of the load balancer, which nobody asks for."""
    return (on_node(opened, node) if node else {}).get(port, Opening(port))


def _asked(published: Published, machine: str) -> tuple[Http, Http]:
    own = published.host in _WILDCARDS or published.host.startswith(_LOCAL)
    host = machine if own else published.host
    return Http(host, published.port, "/", tls=False), Http(host, published.port, "/")


def _answered(answer: Evidence) -> bool | None:
    """A connection alone may be docker's own; what speaks HTTP or TLS stands behind it."""
    if answer.outcome in (Outcome.HTTP, Outcome.TLS_ALERT):
        return True
    return False if answer.outcome in STOPPED else None


@sabotage(test_ext_ports, kills=("ext-unauth-ui",))
def node_port(cluster: Cluster, pool: Pool) -> Iterator[Evidence]:
    """A Service of type NodePort opens a web server on every node."""
    with exposed(cluster, pool, host_port=False) as answer:
        yield answer


def _published_to_others(cluster: Cluster) -> Evidence:
    (node, *_) = control_planes(cluster)
    found = [
        each for each in cluster.published(node) if each.target == API_SERVER_PORT and not each.host.startswith(_LOCAL)
    ]
    if not found:
        raise SabotageError("API server: is published to nobody but this machine")
    return Evidence(
        node_source(node), f"docker inspect {node.container}", Outcome.DONE, f"published at {found[0].host}"
    )


@sabotage(test_ext_ports, proof=_published_to_others, shows=("get an answer over TLS",))
def published_api_server(config: KindConfig) -> None:
    """The API server is published at an address of this machine that its containers reach; never one that others do."""
    address = "127.0.0.1"
    with suppress(K8ssecError):  # there is no network yet, nor need be a docker: it is only being planned
        address = docker.gateway(_NETWORK)
    config.document.setdefault("networking", {})["apiServerAddress"] = address
