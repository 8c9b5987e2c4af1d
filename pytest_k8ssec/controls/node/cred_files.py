"""Nobody but root reads the files that hold a node's credentials.

Kubeconfigs, private keys, etcd's data, the key that encrypts Secrets and the socket of the container runtime lie on nodes as
files, and each alone is worth the node or the cluster. Those that the arguments of a kubelet, an API server, etcd, a
controller manager or a scheduler name are among them, wherever they lie. What keeps an unprivileged process of the node, or of a container
that mounts too much, away from them is their mode. On each node the user `nobody` tries to read one byte of each, at the same
moment as root does; and that user must be able to read what everybody may.

Remediation: `chmod 600` and `chown root:root` the kubeconfigs in /etc/kubernetes, the keys in /etc/kubernetes/pki and
/var/lib/kubelet/pki and the encryption configuration, `chmod 700` etcd's data directory, `chmod 660` the runtime's socket.

```sh
# on each node, as root
chown root:root /etc/kubernetes/*.conf
chmod 600 /etc/kubernetes/*.conf
find /etc/kubernetes/pki /var/lib/kubelet/pki -name '*.key' -o -name '*.pem' | xargs chmod 600
[ ! -d /var/lib/etcd ] || chmod 700 /var/lib/etcd
chmod 660 /run/containerd/containerd.sock
```

Sources: CIS Kubernetes Benchmark 1.1.11, 1.1.13, 1.1.21, 4.1.5
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pytest_k8ssec.catalogue.control import Severity, control, sabotage
from pytest_k8ssec.clusters.interface import Cluster, Node
from pytest_k8ssec.errors import SabotageError
from pytest_k8ssec.evidence import Evidence, Outcome
from pytest_k8ssec.facts.node import arguments, control_planes, node_source
from pytest_k8ssec.facts.node_host import NodeHost
from pytest_k8ssec.probes.nodes_in_reach import entered_nodes
from pytest_k8ssec.verdict import Judge

_ADMIN = "/etc/kubernetes/admin.conf"
_EVERYBODYS = "/etc/passwd"
_PLACES = ("/var/lib/etcd", "/run/containerd/containerd.sock", "/run/crio/crio.sock", "/var/run/docker.sock")
_ON_CONTROL_PLANES = {
    "kube-apiserver": (
        "encryption-provider-config", "service-account-signing-key-file", "tls-private-key-file", "etcd-keyfile",
        "kubelet-client-key", "proxy-client-key-file", "token-auth-file",
    ),
    "etcd": ("data-dir", "key-file", "peer-key-file"),
    "kube-controller-manager": ("kubeconfig", "service-account-private-key-file", "cluster-signing-key-file"),
    "kube-scheduler": ("kubeconfig",),
}  # fmt: skip
"""Arguments of processes that name more of them.

Source: https://kubernetes.io/docs/reference/command-line-tools-reference/; https://etcd.io/docs/v3.6/op-guide/configuration/"""
_EVERYWHERE = {"kubelet": ("kubeconfig", "tls-private-key-file")}
_NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
_DENIED = "Permission denied"
_LIST = r"""
find /etc/kubernetes /var/lib/kubelet/pki -type f '(' -name '*.conf' -o -name '*.key' -o -name '*.pem' ')' 2>/dev/null
for path in "$@"; do [ ! -e "$path" ] || echo "$path"; done
"""
_READ = rf"""
export LC_ALL=C
for path in "$@"; do
  if [ -S "$path" ]; then [ -w "$path" ] && said= || said='{_DENIED}'
  elif [ -d "$path" ]; then said=$(ls "$path" 2>&1 >/dev/null)
  else said=$(head -c 1 "$path" 2>&1 >/dev/null)
  fi
  echo "$path|$said"
done
"""
"""What reading each path failed with, nothing where it worked. Who connects to a socket must be able to write to it."""


@control(
    severity=Severity.HIGH,
    subject="cluster",
    cis=("1.1.11", "1.1.13", "1.1.21", "4.1.5"),
    others=("C-0104", "C-0112", "MS-TA9003"),
    dimensions=("node", "path"),
)
def test_node_cred_files(judge: Judge, cluster: Cluster, nodes: Mapping[str, NodeHost]) -> None:
    """Try to read each file, directory and socket as the user `nobody`, and as root."""
    known_paths = {node.name: _paths(cluster, node) for node in cluster.nodes if node.container}
    for name, path in ((name, path) for name, paths in known_paths.items() for path in paths):
        judge.coverage.exists(node=name, path=path)
    for node in entered_nodes(judge, cluster.nodes):
        paths = known_paths[node.name]
        by_root = _read(cluster, node, (), paths)
        by_nobody = _read(cluster, node, _NOBODY, (_EVERYBODYS, *paths))
        case = judge.case(f"node {node.name}")
        shown = by_nobody[_EVERYBODYS]
        case.positive("the user nobody reads what everybody may", shown, succeeded=shown.outcome is Outcome.DONE)
        for path in paths:
            known, answer = by_root[path], by_nobody[path]
            case.positive(f"root reads {path}", known, succeeded=known.outcome is Outcome.DONE)
            through = {Outcome.DONE: True, Outcome.DENIED: False}.get(answer.outcome)
            shown = _with_mode(answer, nodes, path) if through else answer
            case.attack(f"read {path}", shown, through=through, at={"node": node.name, "path": path})


def _paths(cluster: Cluster, node: Node) -> list[str]:
    """What of all this is on a node."""
    processes = {**_EVERYWHERE, **(_ON_CONTROL_PLANES if node.control_plane else {})}
    named = [
        told.get(name)
        for process, names in processes.items()
        for told in [arguments(cluster, node, process)]
        for name in names
    ]
    wanted = dict.fromkeys((*_PLACES, *(path for path in named if path)))
    return sorted(set(cluster.on_node(node, ["sh", "-c", _LIST, "list", *wanted]).text.splitlines()))


def _read(cluster: Cluster, node: Node, as_whom: Sequence[str], paths: Sequence[str]) -> dict[str, Evidence]:
    """Read one byte of each, list a directory, reach a socket; nothing of it is brought back."""
    told = cluster.on_node(node, [*as_whom, "sh", "-c", _READ, "read", *paths]).text.splitlines()
    said = dict(line.rsplit("|", 1) for line in told)
    source = replace(node_source(node), identity="nobody" if as_whom else "root")
    return {path: Evidence(source, f"read {path}", _outcome(said.get(path)), said.get(path) or "") for path in paths}


def _outcome(said: str | None) -> Outcome:
    if said is None:
        return Outcome.ERROR
    if not said:
        return Outcome.DONE
    return Outcome.DENIED if said.endswith(_DENIED) else Outcome.ERROR


def _with_mode(answer: Evidence, nodes: Mapping[str, NodeHost], path: str) -> Evidence:
    """What got through, with the reason for it."""
    file = nodes[answer.source.node].file(path)
    return replace(answer, detail=f"mode {file.mode:o}, {file.user}:{file.group}")


@sabotage(test_node_cred_files)
def everybody_reads_admin(cluster: Cluster, nodes: Mapping[str, NodeHost]) -> Iterator[Evidence]:
    """Everybody on a control-plane node may read the administrator's kubeconfig."""
    (node, *_) = control_planes(cluster)
    file = nodes[node.name].file(_ADMIN)
    before = file.mode
    cluster.on_node(node, ["chmod", "644", _ADMIN])
    try:
        if file.mode != 0o644:
            raise SabotageError(f"{_ADMIN} on {node.name}: its mode is still {file.mode:o}")
        yield Evidence(
            node_source(node), f"stat {_ADMIN}", Outcome.DONE, f"mode {file.mode:o}, {file.user}:{file.group}"
        )
    finally:
        cluster.on_node(node, ["chmod", f"{before:o}", _ADMIN])
